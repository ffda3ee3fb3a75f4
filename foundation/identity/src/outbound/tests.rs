//! Freshness of tokens, by a clock that the test moves.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use std::borrow::Cow;
use std::time::Duration;

use moongate_config::Secret;
use moongate_core::seam::{Fetch, Fetched};
use moongate_core::{Mono, Scopes, Time};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

#[derive(Default)]
pub(super) struct Hands(pub(super) AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time(1_000_000_000_000 + self.0.load(Ordering::Relaxed) * 1000)
    }

    fn mono(&self) -> Mono {
        Mono(0).plus(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

/// Gives `t1`, `t2`, …, or is down.
#[derive(Default)]
pub(super) struct Endpoint {
    asked: AtomicUsize,
    pub(super) forms: Mutex<Vec<String>>,
    pub(super) down: Mutex<bool>,
    pub(super) valid: Mutex<Value>,
}

impl Dialer for Endpoint {
    fn fetch(&self, fetch: Fetch) -> Later<'_, Result<Fetched, Problem>> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.forms.lock().push(String::from_utf8_lossy(&fetch.body).into_owned());
        Box::pin(async move {
            tokio::task::yield_now().await;
            if *self.down.lock() {
                return Err(Problem::new(Code::AgentUnreachable, "down"));
            }
            let body = json!({"access_token": format!("t{number}"), "token_type": "Bearer", "expires_in": *self.valid.lock(),
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"});
            Ok(Fetched { status: 200, headers: Vec::new(), body: body.to_string().into() })
        })
    }
}

/// The gateway on its own.
fn nobody() -> Behalf<'static> {
    Behalf { id: "nobody", scopes: Cow::Owned(Scopes::default()), token: None, task: None }
}

pub(super) fn request() -> TokenRequest {
    TokenRequest {
        name: "lights".into(),
        url: "https://idp.test/token".into(),
        client: "gateway".into(),
        proof: Proof::Secret(Secret::new("secret")),
        scope: Some("home.use".into()),
        audience: None,
        resource: None,
    }
}

struct Bed {
    clock: Arc<Hands>,
    endpoint: Arc<Endpoint>,
    tokens: ClientCredentials,
}

impl Bed {
    fn new(valid: Value) -> Self {
        let (clock, endpoint) = (Arc::new(Hands::default()), Arc::new(Endpoint::default()));
        *endpoint.valid.lock() = valid;
        let tokens = ClientCredentials::new(request(), clock.clone(), endpoint.clone());
        Self { clock, endpoint, tokens }
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn ready(&self) -> Option<String> {
        self.tokens.ready(&nobody()).map(text)
    }

    async fn get(&self) -> Option<String> {
        self.tokens.get(&nobody()).await.ok().map(text)
    }

    fn asked(&self) -> usize {
        self.endpoint.asked.load(Ordering::Relaxed)
    }
}

pub(super) fn text(shown: Shown) -> String {
    String::from_utf8_lossy(shown.expose()).into_owned()
}

#[tokio::test]
async fn a_token_serves_for_nine_tenths_of_its_time_and_is_fetched_again_ahead_of_that() {
    let bed = Bed::new(json!(100));
    assert_eq!(bed.ready(), None);
    let (one, other) = tokio::join!(bed.get(), bed.get());
    assert_eq!((one.as_deref(), other, bed.asked()), (Some("Bearer t1"), one.clone(), 1));
    bed.pass(79);
    assert_eq!((bed.ready().as_deref(), bed.asked()), (Some("Bearer t1"), 1));
    bed.pass(2);
    assert_eq!(bed.ready().as_deref(), Some("Bearer t1"), "nobody waits for the next one");
    while bed.ready().as_deref() == Some("Bearer t1") {
        tokio::task::yield_now().await;
    }
    assert_eq!((bed.ready().as_deref(), bed.asked()), (Some("Bearer t2"), 2));
    bed.pass(91);
    assert_eq!(bed.ready(), None);
    assert_eq!(bed.get().await.as_deref(), Some("Bearer t3"));
}

#[tokio::test]
async fn while_the_endpoint_is_down_the_token_at_hand_serves_and_the_endpoint_is_left_alone() {
    let bed = Bed::new(json!("100"));
    bed.get().await.unwrap();
    *bed.endpoint.down.lock() = true;
    bed.pass(85);
    for _ in 0..20 {
        assert_eq!(bed.get().await.as_deref(), Some("Bearer t1"));
        tokio::task::yield_now().await;
    }
    assert_eq!(bed.asked(), 2);
    bed.pass(6);
    for _ in 0..3 {
        let problem = bed.tokens.get(&nobody()).await.unwrap_err();
        assert_eq!(problem.code, Code::CredentialUnavailable);
    }
    assert_eq!(bed.asked(), 3, "one try, then a rest");
    *bed.endpoint.down.lock() = false;
    bed.pass(5);
    assert_eq!(bed.get().await.as_deref(), Some("Bearer t4"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_in_a_while() {
    let bed = Bed::new(Value::Null);
    let first = bed.tokens.get(&nobody()).await.unwrap();
    let on = nobody();
    let all = tokio::join!(bed.tokens.renewed(&on, &first), bed.tokens.renewed(&on, &first));
    assert_eq!((all.0.map(text).as_deref(), all.1.map(text).as_deref()), (Some("Bearer t2"), Some("Bearer t2")));
    let second = bed.tokens.get(&nobody()).await.unwrap();
    assert_eq!((bed.tokens.renewed(&nobody(), &second).await, bed.asked()), (None, 2));
    bed.pass(31);
    assert_eq!(bed.tokens.renewed(&nobody(), &second).await.map(text).as_deref(), Some("Bearer t3"));
    // Nobody said for how long it is valid.
    bed.pass(269);
    assert!(bed.ready().is_some());
    bed.pass(2);
    assert_eq!(bed.ready(), None);
    assert!(!format!("{second:?}").contains("t2"));
}
