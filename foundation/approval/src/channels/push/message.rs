//! A message that only one browser can read: `aes128gcm` (RFC 8188) under keys of RFC 8291.
//!
//! ```text
//! salt 16 | record size 4 | 65 | our public key 65 | AES-128-GCM(text | 2 | zeros) 16 more
//! ```
//!
//! Every message is as long as every other, so that whoever carries it learns nothing from its length.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::hmac;
use moongate_core::{Code, Problem};

/// Bytes of a text and its padding.
const LENGTH: usize = 256;
const TAG: usize = 16;
/// More than one record's bytes, so that there is one record.
const RECORD: u32 = 4096;

/// What a browser gave of itself so that it can be written to.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Its public key, a point of P-256 as it is.
    pub(super) key: Vec<u8>,
    /// Its secret.
    pub(super) secret: Vec<u8>,
}

impl Reader {
    /// Whether one can write to it.
    pub(super) fn is_sound(&self) -> bool {
        self.secret.len() == 16 && self.key.len() == 65 && parsed(&self.key).is_ok()
    }
}

/// Encrypts with a key and a salt that are used once.
pub(super) fn encrypt(reader: &Reader, text: &[u8]) -> Result<Vec<u8>, Problem> {
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| failed("no key can be made"))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| failed("no randomness"))?;
    sealed(reader, text, &own, salt, LENGTH)
}

fn sealed(reader: &Reader, text: &[u8], own: &PrivateKey, salt: [u8; 16], length: usize) -> Result<Vec<u8>, Problem> {
    if text.len() >= length {
        return Err(failed("the message is too long"));
    }
    let public = own.compute_public_key().map_err(|_| failed("no public key"))?;
    let shared = agreement::agree(own, parsed(&reader.key)?, failed("no shared secret"), |shared| Ok(shared.to_vec()))?;
    let info = [b"WebPush: info\0".as_slice(), &reader.key, public.as_ref()].concat();
    let secret: [u8; 32] = derived(&reader.secret, &shared, &info);
    let key: [u8; 16] = derived(&salt, &secret, b"Content-Encoding: aes128gcm\0");
    let nonce: [u8; 12] = derived(&salt, &secret, b"Content-Encoding: nonce\0");

    let mut record = text.to_vec();
    // 2 ends the last record.
    record.push(2);
    record.resize(length, 0);
    let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| failed("no key"))?;
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)
        .map_err(|_| failed("the message cannot be sealed"))?;
    let mut message = Vec::with_capacity(86 + length + TAG);
    message.extend(salt);
    message.extend(RECORD.to_be_bytes());
    message.push(65);
    message.extend(public.as_ref());
    message.extend(record);
    Ok(message)
}

fn parsed(key: &[u8]) -> Result<ParsedPublicKey, Problem> {
    ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, key)).map_err(|_| failed("its key is no point"))
}

/// HKDF with SHA-256 (RFC 5869) for at most 32 bytes.
fn derived<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; N] {
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret);
    let block = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), &[info, &[1]].concat());
    let mut bytes = [0; N];
    bytes.iter_mut().zip(block.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

fn failed(why: &'static str) -> Problem {
    Problem::new(Code::Internal, "a push message cannot be made").inside(why)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64.decode(text).unwrap()
    }

    #[test]
    fn the_example_of_rfc_8291_comes_out_byte_by_byte() {
        let reader = Reader {
            key: bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
            secret: bytes("BTBZMqHH6r4Tts7J_aSIgg"),
        };
        assert!(reader.is_sound());
        let own =
            PrivateKey::from_private_key(&ECDH_P256, &bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        let salt: [u8; 16] = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let text = b"When I grow up, I want to be a watermelon";
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64.encode(sealed(&reader, text, &own, salt, text.len() + 1).unwrap()), expected);
    }

    #[test]
    fn all_messages_are_of_one_length_and_no_two_are_alike() {
        let browser = PrivateKey::generate(&ECDH_P256).unwrap();
        let key = browser.compute_public_key().unwrap().as_ref().to_vec();
        let reader = Reader { key: key.clone(), secret: vec![7; 16] };
        let [one, two, long] = [&b"a"[..], b"a", &[b'a'; 200]].map(|text| encrypt(&reader, text).unwrap());
        assert!(one != two && one.len() == long.len() && one.len() == 86 + LENGTH + TAG);
        assert!(encrypt(&reader, &[0; LENGTH]).is_err());
        for unsound in [
            Reader { key: vec![4; 65], ..reader.clone() },
            Reader { key: key[..64].to_vec(), ..reader.clone() },
            Reader { key: key[1..].to_vec(), ..reader.clone() },
            Reader { secret: vec![7; 15], ..reader.clone() },
        ] {
            assert!(!unsound.is_sound());
        }
    }
}
