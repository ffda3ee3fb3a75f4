//! Limits of requests in a second: who sends too many is told when to come again, in every binding.

use moongate_testkit::client::{Caller, saying};
use moongate_testkit::{Binding, Operation};
use serde_json::json;

use crate::stage::SPEAKERS;
use crate::support::*;

const LISTEN: &str = "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
/// Three at once, and one more with each second.
const THREE: &str = "[limits]\ncaller_requests_per_second = 1\nburst_seconds = 3\n";

async fn limited(limits: &str) -> (Agent, Gateway) {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{limits}{}", agent.entry())).await;
    (agent, gateway)
}

/// How many of so many requests at once are served; the last refusal.
async fn flood(base: &str, count: usize) -> (usize, Option<Answer>) {
    let asked = (0..count).map(|_| async { send(base, "/agents/a", &message("hello")).await });
    let answers = futures_util::future::join_all(asked).await;
    let (served, refused): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 200);
    (served.len(), refused.into_iter().next_back())
}

#[tokio::test]
async fn a_burst_is_served_and_the_rest_told_when_to_come_again() {
    let (agent, gateway) = limited(THREE).await;
    let began = std::time::Instant::now();
    let (served, refused) = flood(&gateway.plain(), 40).await;
    let due = 4 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((3..=due).contains(&served), "{served} of {due}");
    assert_eq!(agent.seen().len(), served, "what is refused never reaches an agent");
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "MG-0419"));
    assert_eq!(refused.header("retry-after"), "1");
    let body = json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]}});
    let mut refused = None;
    for _ in 0..40 {
        let answer = http("POST", &gateway.plain(), "/agents/a/message:send", &[V1], Some(&body)).await;
        refused = (answer.status == 429).then_some(answer).or(refused);
    }
    let refused = refused.unwrap();
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("MG-0419", "1"));
    let metrics = get(&gateway.admin(), "/metrics").await.text();
    assert!(metrics.lines().any(|line| line.contains("code=\"MG-0419\"")), "{metrics}");
}

#[tokio::test]
async fn every_binding_and_version_says_so_in_its_own_way() {
    let (_agent, gateway) = limited(THREE).await;
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version).at("/agents/a");
        let mut refused = None;
        for _ in 0..40 {
            refused = caller.call(Operation::Send, &saying("hello")).await.err().or(refused);
        }
        let refused = refused.unwrap();
        assert_eq!(refused.gateway_code.as_deref(), Some("MG-0419"), "{binding:?} {version:?}: {refused:?}");
        let (status, code) = match binding {
            Binding::JsonRpc => (429, -32603),
            Binding::Http => (429, 429),
            Binding::Grpc => (200, 8),
        };
        assert_eq!((refused.status, refused.code), (status, code), "{binding:?} {version:?}");
    }
}

#[tokio::test]
async fn a_changed_limit_takes_effect_at_once_and_nobody_is_limited_unless_it_is_set() {
    let (agent, gateway) = limited("").await;
    assert_eq!(flood(&gateway.plain(), 50).await.0, 50);
    let changes = reload(&gateway, &format!("{LISTEN}{THREE}{}", agent.entry())).await;
    assert_eq!(changes["limits.caller_requests_per_second"], "applied");
    assert!(flood(&gateway.plain(), 50).await.0 < 50);
    reload(&gateway, &format!("{LISTEN}{}", agent.entry())).await;
    assert_eq!(flood(&gateway.plain(), 50).await.0, 50);
}
