//! The authorization server over the store's rows: its storage by the protocol crate's own harness, its keys, and what a token
//! is worth while things change around it.

mod certified;
mod contracts;
mod exchange;
mod keys;
mod tokens;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use moongate_core::seam::{Clock, Dialer, Fetch, Fetched, Later, Store};
use moongate_core::{Code, Mono, Principal, Problem, Scopes, Time};
use moongate_identity::authority::clients::{ClientProof, NewClient};
use moongate_identity::authority::standing::{People, Rights};
use moongate_identity::authority::{Authority, Terms};
use moongate_identity::signing::Workshop;
use moongate_identity::{Tokens, Vault};
use parking_lot::Mutex;
use serde_json::Value;

use crate::support::{Folder, folder};

/// 1 September 2026.
const NOW: Time = Time(1_788_220_800_000);
const ISSUER: &str = "https://gw.home.example";
const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// Time that stands still until it is moved.
struct Moment(AtomicU64);

impl Clock for Moment {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }

    fn mono(&self) -> Mono {
        Mono(self.0.load(Ordering::SeqCst) * 1000)
    }
}

struct Nowhere;

impl Dialer for Nowhere {
    fn fetch(&self, _: Fetch) -> Later<'_, Result<Fetched, Problem>> {
        Box::pin(async { Err(Problem::new(Code::Internal, "nothing is fetched for tokens of our own")) })
    }
}

/// Alice, while she is there.
struct Household(Mutex<Option<Rights>>);

impl People for Household {
    fn rights<'a>(&'a self, user: &'a str) -> Later<'a, Result<Option<Rights>, Problem>> {
        let found = if user == "alice" { self.0.lock().clone() } else { None };
        Box::pin(async move { Ok(found) })
    }
}

fn alice(scopes: &str, since: Time) -> Rights {
    Rights { scopes: Scopes::read(scopes), since }
}

struct Scene {
    folder: Folder,
    clock: Arc<Moment>,
    household: Arc<Household>,
    authority: Arc<Authority>,
    tokens: Tokens,
    workshop: Workshop,
}

fn terms() -> Terms {
    Terms {
        issuer: ISSUER.to_owned(),
        token: Duration::from_secs(3600),
        refresh: Duration::from_secs(30 * 24 * 3600),
        device: Duration::from_secs(600),
        scopes: Scopes::read("a2a:*:*"),
        certificates: false,
    }
}

fn store(url: &str, folder: &Path) -> Arc<dyn Store> {
    moongate_store::open(url, folder).unwrap()
}

fn workshop(url: &str, folder: &Path, clock: &Arc<Moment>) -> Workshop {
    let vault = Arc::new(Vault::load_or_make(&Vault::path(folder)).unwrap());
    Workshop { store: store(url, folder), vault, clock: clock.clone() }
}

async fn scene(url: &str) -> Scene {
    let folder = folder();
    let clock = Arc::new(Moment(AtomicU64::new(NOW.0)));
    let household = Arc::new(Household(Mutex::new(Some(alice("a2a:*:send a2a:*:get", NOW)))));
    let workshop = workshop(url, folder.path(), &clock);
    let authority = Authority::open(workshop.clone(), "home.example", terms()).await.unwrap();
    authority.introduce(household.clone());
    let tokens =
        Tokens::new(Vec::new(), "home.example", clock.clone(), Arc::new(Nowhere)).with_own(Some(authority.clone()));
    Scene { folder, clock, household, authority, tokens, workshop }
}

impl Scene {
    fn wait(&self, span: Duration) {
        self.clock.0.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// The people of the same store, whom the authority does not know.
    fn people(&self) -> moongate_identity::People {
        let Workshop { store, clock, vault } = self.workshop.clone();
        moongate_identity::People::new(store, clock, vault)
    }

    async fn client(&self, id: &str, proof: ClientProof, grant: &str, scopes: &[&str]) -> String {
        let new = NewClient {
            id: id.to_owned(),
            name: Some(format!("The {id}")),
            proof,
            grants: vec![grant.to_owned()],
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            redirect_uris: vec!["https://app.example/back".to_owned()],
        };
        self.authority.add_client(new).await.unwrap().1.unwrap_or_default()
    }

    /// Sends a form; status and JSON.
    async fn post(&self, path: &str, credential: Option<(&str, &str)>, form: &str) -> (u16, Value) {
        self.post_from(CALLER, path, credential, form).await
    }

    async fn post_from(&self, from: IpAddr, path: &str, credential: Option<(&str, &str)>, form: &str) -> (u16, Value) {
        let mut request = http::Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if let Some((id, secret)) = credential {
            let text = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
            request = request.header("authorization", format!("Basic {text}"));
        }
        let request = request.body(Bytes::from(form.to_owned())).unwrap();
        let answer = self.authority.handle(from, None, request).await;
        assert_eq!(answer.status() == 429, answer.headers().contains_key("retry-after"));
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    /// Whom a token names, on a connection without a certificate.
    async fn verified(&self, token: &str) -> Result<Arc<Principal>, Problem> {
        self.tokens.verify(token).await?.on(None)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = http::Request::get(path).body(Bytes::new()).unwrap();
        let answer = self.authority.handle(CALLER, None, request).await;
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
