//! People in a memory store, and a moment that is moved by hand.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moongate_core::seam::records::look;
use moongate_core::seam::{Clock, Store, Vault};
use moongate_core::{Mono, Time};
use moongate_identity::People;
use moongate_identity::people::{NewUser, Opened, Password, User, UserName};

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Time that stands still until it is moved.
pub(crate) struct Moment(AtomicU64);

impl Clock for Moment {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }

    fn mono(&self) -> Mono {
        Mono(self.0.load(Ordering::SeqCst) * 1000)
    }
}

/// A vault of these tests: codes that depend on purpose and message, nothing secret.
struct Sums;

impl Vault for Sums {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        plain.to_vec()
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        Some(sealed.to_vec())
    }

    fn derive(&self, _: &str) -> [u8; 32] {
        [0; 32]
    }

    fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let mut mac = [0_u8; 32];
        for (at, byte) in purpose.bytes().chain(message.iter().copied()).enumerate() {
            mac[at % 32] = mac[at % 32].rotate_left(3) ^ byte.wrapping_add(at as u8);
        }
        mac
    }
}

pub(crate) struct Scene {
    pub(crate) clock: Arc<Moment>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) people: People,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(Moment(AtomicU64::new(1_788_220_800_000)));
        let store = moongate_store::open("memory:", Path::new("/")).unwrap();
        let people = People::new(store.clone(), clock.clone(), Arc::new(Sums));
        Self { clock, store, people }
    }

    pub(crate) fn wait(&self, span: Duration) {
        self.clock.0.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Adds alice, with a password or without.
    pub(crate) async fn alice(&self, password: Option<&str>) -> User {
        let new = NewUser { name: name("alice"), display_name: "Alice".into(), scopes: vec!["a2a:*:send".into()] };
        self.people.add(new, password.map(|text| Password::choose(text).unwrap())).await.unwrap()
    }

    pub(crate) async fn sign_in(&self) -> Opened {
        self.people.sign_in("alice", PASSWORD, HERE).await.unwrap()
    }

    pub(crate) async fn holds(&self, cookie: &str) -> bool {
        self.people.session(cookie).await.unwrap().is_some()
    }

    /// Everything that the store holds of these kinds, as text.
    pub(crate) async fn rows(&self, kind: &'static str) -> String {
        let rows = look(self.store.records(), move |page| page.after(kind, "", 100)).await.unwrap();
        rows.iter().map(|row| format!("{} {}\n", row.key, String::from_utf8_lossy(&row.value))).collect()
    }
}

pub(crate) fn name(text: &str) -> UserName {
    UserName::read(text).unwrap()
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}
