//! An issuer of access tokens: signs whatever it is told to, and publishes its keys.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The audience that [`Issuer::entry`] accepts.
pub const AUDIENCE: &str = "https://gateway.test";

/// A key of ES256 with its id.
pub struct SigningKey {
    id: String,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    /// A new key.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65])})
    }

    /// The private half in PEM (PKCS #8).
    pub fn pem(&self) -> String {
        use base64::engine::general_purpose::STANDARD;
        let document = STANDARD.encode(self.pair.to_pkcs8v1().unwrap().as_ref());
        let lines: Vec<&str> = document.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    /// Signs texts that stand for a header and claims, as they are.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// The id of the key of a set under which a signature of ES256 holds for one of these payloads.
pub fn verifies(keys: &Value, protected: &str, payloads: &[Vec<u8>], signature: &str) -> Option<String> {
    let kid = header(protected)["kid"].as_str()?.to_owned();
    let key = keys["keys"].as_array()?.iter().find(|key| key["kid"] == kid.as_str())?;
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let text = |payload: &Vec<u8>| format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload));
    payloads.iter().any(|payload| key.verify(text(payload).as_bytes(), &signature).is_ok()).then_some(kid)
}

/// Base64url, as JWS has it.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A protected header as it was written.
pub fn header(protected: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(protected).unwrap()).unwrap()
}

/// What is published, and how often it was asked for.
struct Published {
    keys: Mutex<Value>,
    asked: AtomicUsize,
    down: AtomicBool,
}

/// A running issuer; ends when dropped.
pub struct Issuer {
    address: SocketAddr,
    key: SigningKey,
    published: Arc<Published>,
    server: JoinHandle<()>,
}

impl Issuer {
    /// Starts one with one key.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = SigningKey::new("key-1");
        let keys = Mutex::new(json!({ "keys": [key.jwk()] }));
        let published = Arc::new(Published { keys, asked: AtomicUsize::new(0), down: AtomicBool::new(false) });
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, published.clone()));
        Self { address, key, published, server }
    }

    /// `iss`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its entry in a configuration; `more` is added to it.
    pub fn entry(&self, scopes: &[&str], more: &str) -> String {
        let url = self.url();
        format!(
            "[[issuers]]\nname = \"idp\"\nissuer = \"{url}\"\njwks = \"{url}/jwks\"\naudience = [\"{AUDIENCE}\"]\n\
             scopes = {scopes:?}\n{more}\n"
        )
    }

    /// The header and claims of a good token for alice.
    pub fn good(&self, scope: &str) -> (Value, Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"iss": self.url(), "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now + 600,
            "client_id": "app", "jti": format!("{now}"), "scope": scope});
        (json!({"alg": "ES256", "typ": "at+jwt", "kid": self.key.id}), claims)
    }

    /// A good token, after a change.
    pub fn token_with(&self, scope: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (mut header, mut claims) = self.good(scope);
        change(&mut header, &mut claims);
        self.key.sign(&header.to_string(), &claims.to_string())
    }

    /// A good token.
    pub fn token(&self, scope: &str) -> String {
        self.token_with(scope, |_, _| {})
    }

    /// The key that it signs with.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Signs with a new key from now on, and publishes only that one.
    pub fn rotate(&mut self, id: &str) {
        self.key = SigningKey::new(id);
        self.publish(json!({ "keys": [self.key.jwk()] }));
    }

    /// Publishes this.
    pub fn publish(&self, keys: Value) {
        *self.published.keys.lock().unwrap() = keys;
    }

    /// Answers 503 from now on, or again as it should.
    pub fn set_down(&self, down: bool) {
        self.published.down.store(down, Ordering::SeqCst);
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.published.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, published: Arc<Published>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let published = published.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            published.asked.fetch_add(1, Ordering::SeqCst);
            let status = if published.down.load(Ordering::SeqCst) { 503 } else { 200 };
            let body = published.keys.lock().unwrap().to_string();
            let response = Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
