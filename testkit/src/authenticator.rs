//! An authenticator in software: makes passkeys and signs in with them, as a browser would report it. Everything that a
//! hostile one might say differently can be changed before it is sealed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A passkey and its key.
pub struct Authenticator {
    key: Key,
    id: Vec<u8>,
    /// What it says next.
    pub says: Says,
}

enum Key {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// What an authenticator and its browser say, beside the keys.
#[derive(Clone)]
pub struct Says {
    /// The site's host.
    pub site: String,
    /// The page's origin.
    pub origin: String,
    /// User present, user verified, and so on; the flag for a new credential is added where one is made.
    pub flags: u8,
    /// The signature counter.
    pub counter: u32,
    /// Members of the browser's part that differ from the usual.
    pub client: Value,
    /// What stands behind the authenticator data.
    pub behind: Vec<u8>,
}

impl Authenticator {
    /// One with an ES256 key, whose owner is there and verified.
    pub fn es256(site: &str, origin: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self::of(Key::Es256(key), site, origin)
    }

    /// One with an Ed25519 key.
    pub fn ed25519(site: &str, origin: &str) -> Self {
        Self::of(Key::Ed25519(Ed25519KeyPair::generate().unwrap()), site, origin)
    }

    fn of(key: Key, site: &str, origin: &str) -> Self {
        let mut id = vec![0; 32];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        let (site, origin) = (site.to_owned(), origin.to_owned());
        let says = Says { site, origin, flags: 0b101, counter: 0, client: json!({}), behind: Vec::new() };
        Self { key, id, says }
    }

    /// Makes the passkey: `clientDataJSON` and the attestation object.
    pub fn make(&self, challenge: &str) -> (Vec<u8>, Vec<u8>) {
        self.make_with(challenge, &self.cose())
    }

    /// The same with another public key than its own.
    pub fn make_with(&self, challenge: &str, cose: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut data = self.head(0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(cose);
        data.extend(&self.says.behind);
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = vec![0xa3];
        object.extend(b"\x63fmt\x64none\x67attStmt\xa0\x68authData\x59");
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        (self.client_data("webauthn.create", challenge), object)
    }

    /// Answers a sign-in: `clientDataJSON`, authenticator data, signature.
    pub fn sign(&self, challenge: &str) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let client = self.client_data("webauthn.get", challenge);
        let mut data = self.head(0);
        data.extend(&self.says.behind);
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &client);
        let message = [data.as_slice(), hash.as_ref()].concat();
        let signature = match &self.key {
            Key::Es256(key) => key.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(&message).as_ref().to_vec(),
        };
        (client, data, signature)
    }

    /// What a page sends when the passkey was made.
    pub fn made_answer(&self, challenge: &str) -> Value {
        let (client, attestation) = self.make(challenge);
        json!({"client_data": b64(&client), "attestation": b64(&attestation)})
    }

    /// What a page sends at a sign-in.
    pub fn answer(&self, challenge: &str) -> Value {
        let (client, data, signature) = self.sign(challenge);
        json!({
            "id": b64(&self.id), "client_data": b64(&client), "authenticator_data": b64(&data), "signature": b64(&signature),
        })
    }

    /// Its public key as COSE has it.
    pub fn cose(&self) -> Vec<u8> {
        match &self.key {
            Key::Es256(key) => {
                let point = key.public_key().as_ref();
                let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20].as_slice();
                [head, &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
            }
            Key::Ed25519(key) => {
                let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20].as_slice();
                [head, key.public_key().as_ref()].concat()
            }
        }
    }

    fn head(&self, more: u8) -> Vec<u8> {
        let site = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.says.site.as_bytes());
        [site.as_ref(), &[self.says.flags | more], &self.says.counter.to_be_bytes()].concat()
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let mut data = json!({"type": kind, "challenge": challenge, "origin": self.says.origin, "crossOrigin": false});
        for (name, value) in self.says.client.as_object().unwrap() {
            data[name] = value.clone();
        }
        data.to_string().into_bytes()
    }
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
