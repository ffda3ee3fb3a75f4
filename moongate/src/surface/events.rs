//! `GET /api/v1/events`: what happens, as it happens, for the operator at this machine; server-sent events.
//!
//! - `request`: a request ended. `approval`: what people decided, and what came of it. `agent`: an instance's health changed.
//! - `status`: a task's state changed; for who watches that one task.
//! - `open` comes first; `lagged` says how many happenings a slow reader has lost; `end` says why the stream ends.
//! - Filters: `agent`, `skill`, `result` (or a code), `who`, `task`; each is met exactly.
//! - Pages of the console read the same at `/console/events`, for whoever is signed in there and may see how things are.
//! - It ends when the gateway drains, and when the reader's right does. Nothing of a payload is ever in it.

mod following;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body::Frame;
use moongate_a2a::api::Parameters;
use moongate_a2a::endpoint::{Over, ReplyBody, Vigil, problem_response};
use moongate_a2a::moment;
use moongate_a2a::tasks::fold;
use moongate_console::Visitor;
use moongate_core::entry::Deed;
use moongate_core::seam::{Clock, Verifier};
use moongate_core::{Code, Entry, Listener, Problem, TaskState};
use moongate_telemetry::feed::{Happening, Health, News, Reader};
use moongate_transport::{BoxError, Drain, Peer};
use moongate_wire::sse;
use serde_json::{Value, json};

use super::Surface;
use following::Following;

/// Where they are served.
const PLACE: &str = "/api/v1/events";
/// Where pages read them.
const PAGES: &str = "/console/events";
/// Whether a session still holds is looked at so often.
const AGAIN: Duration = Duration::from_secs(5);
/// A comment keeps a quiet stream open.
const QUIET: Duration = Duration::from_secs(15);
/// So many happenings are sent in one go.
const BATCH: usize = 64;

/// Whether a path is that of the events.
pub(super) fn serves(path: &str) -> bool {
    path.trim_end_matches('/') == PLACE
}

/// Whether it is that of the events for pages.
pub(super) fn is_for_pages(path: &str) -> bool {
    path == PAGES
}

impl Surface {
    /// Answers a reader.
    pub(super) async fn events<B>(&self, listener: Listener, peer: Peer, request: Request<B>) -> Response<ReplyBody> {
        self.told(listener, peer, &request).await.unwrap_or_else(|problem| problem_response(&problem))
    }

    /// Answers a page of the console.
    pub(super) async fn page_events<B>(self: &Arc<Self>, peer: Peer, request: &Request<B>) -> Response<ReplyBody> {
        self.told_to_page(peer, request).await.unwrap_or_else(|problem| problem_response(&problem))
    }

    async fn told<B>(
        &self,
        listener: Listener,
        peer: Peer,
        request: &Request<B>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let credential = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let verifier: Arc<dyn Verifier> = self.verifier.clone();
        let vigil = Vigil::new(&verifier, &self.endpoint.arrival(listener, peer.clone()), credential);
        let who = self.operator(listener, peer, request.headers(), "live events").await?;
        let over = vigil.over(who, self.endpoint.gateway().clock.clone());
        self.telling(request, over).await
    }

    async fn told_to_page<B>(
        self: &Arc<Self>,
        peer: Peer,
        request: &Request<B>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let site = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
        if site.is_some_and(|site| site != "same-origin") {
            return Err(Problem::new(Code::Forbidden, "events are for the gateway's own pages"));
        }
        let visitor = Visitor { address: peer.remote.ip().to_canonical(), secure: peer.secure };
        let mut asked = Request::new(Bytes::new());
        (*asked.uri_mut(), *asked.headers_mut()) = (request.uri().clone(), request.headers().clone());
        self.may_watch(visitor, &asked).await?;
        let surface = self.clone();
        let over: Over = Box::pin(async move {
            loop {
                tokio::time::sleep(AGAIN).await;
                if let Err(problem) = surface.may_watch(visitor, &asked).await {
                    return problem;
                }
            }
        });
        self.telling(request, over).await
    }

    /// Whether a browser's session holds, and may see how things are.
    async fn may_watch(&self, visitor: Visitor, asked: &Request<Bytes>) -> Result<(), Problem> {
        match self.console.caller(visitor, asked).await? {
            Some(who) => who.may_ask(&Method::GET, PLACE),
            None => Err(Problem::new(Code::Unauthenticated, "nobody is signed in; open the console and sign in")),
        }
    }

    async fn telling<B>(&self, request: &Request<B>, over: Over) -> Result<Response<ReplyBody>, Problem> {
        if *request.method() != Method::GET {
            return Err(Problem::new(Code::HttpMethodNotAllowed, "events are read with GET"));
        }
        let wanted = Wanted::read(request.uri().query())?;
        let gateway = self.endpoint.gateway();
        let reader = self.telemetry.feed().watch()?;
        let task = Following::begin(gateway, wanted.task.as_deref()).await?;
        let (drain, clock) = (self.drain.clone(), gateway.clock.clone());
        let telling = Telling { reader, wanted, task, over, drain, clock, stage: Stage::Opening };
        let frames = unfold(telling, |mut telling| async move {
            let frame = telling.frame().await?;
            Some((Ok::<_, Infallible>(Frame::data(frame)).map_err(BoxError::from), telling))
        });
        let mut response = Response::new(ReplyBody::Stream(Box::pin(frames)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// How far a stream is.
#[derive(PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    Ended,
}

/// One reader's stream.
struct Telling {
    reader: Reader,
    wanted: Wanted,
    /// The one task that is watched, if it is one that there is.
    task: Option<Following>,
    /// When the reader's right has ended.
    over: Over,
    drain: Drain,
    clock: Arc<dyn Clock>,
    stage: Stage,
}

impl Telling {
    async fn frame(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Ended => return None,
            Stage::Opening => {
                self.stage = Stage::Open;
                return Some(event("open", &json!({"kind": "open", "at": moment::write(self.clock.now())})));
            }
            Stage::Open => {}
        }
        loop {
            let draining = self.drain.started();
            let news = tokio::select! {
                biased;
                why = &mut self.over => return Some(self.end(&why)),
                () = draining => {
                    return Some(self.end(&Problem::new(Code::Draining, "the gateway is shutting down; watch again")));
                }
                news = self.reader.next() => news,
                state = Following::turn(&mut self.task) => return Some(self.status(state)),
                () = tokio::time::sleep(QUIET) => return Some(Bytes::from_static(sse::KEEP_ALIVE)),
            };
            let mut frame = BytesMut::new();
            let mut next = Some(news);
            for _ in 0..BATCH {
                let Some(news) = next else { break };
                self.write(&mut frame, &news);
                next = self.reader.ready();
            }
            if let Some(news) = next {
                self.write(&mut frame, &news);
            }
            if !frame.is_empty() {
                return Some(frame.freeze());
            }
        }
    }

    fn write(&self, frame: &mut BytesMut, news: &News) {
        match news {
            News::Lost(lost) => frame.extend_from_slice(&event("lagged", &json!({"kind": "lagged", "lost": lost}))),
            News::Told(told) if self.wanted.fits(&told.what) => frame.extend_from_slice(told.written(written)),
            News::Told(_) => {}
        }
    }

    fn status(&self, state: TaskState) -> Bytes {
        let state = fold::state_name(state).trim_start_matches("TASK_STATE_").to_ascii_lowercase().replace('_', "-");
        let (at, task) = (moment::write(self.clock.now()), &self.wanted.task);
        event("status", &json!({"kind": "status", "at": at, "task": task, "result": state}))
    }

    fn end(&mut self, why: &Problem) -> Bytes {
        self.stage = Stage::Ended;
        event("end", &json!({"kind": "end", "code": why.code.to_string(), "message": why.detail}))
    }
}

fn event(kind: &str, value: &Value) -> Bytes {
    sse::encode_event(Some(kind), None, value.to_string().as_bytes())
}

/// What a happening must have; what is not asked for is anything.
struct Wanted {
    agent: Option<String>,
    skill: Option<String>,
    result: Option<String>,
    who: Option<String>,
    task: Option<String>,
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let query = Parameters::read(query, &["agent", "skill", "result", "who", "task"])?;
        let text = |name| query.text(name).map(str::to_owned);
        Ok(Self {
            agent: text("agent"),
            skill: text("skill"),
            result: text("result"),
            who: text("who"),
            task: text("task"),
        })
    }

    fn fits(&self, what: &Happening) -> bool {
        let is = |wanted: &Option<String>, has: Option<&str>| wanted.as_deref().is_none_or(|one| has == Some(one));
        match what {
            Happening::Request(entry, _) => {
                let code = entry.code.map(|code| code.to_string());
                is(&self.agent, Some(&entry.target))
                    && is(&self.skill, entry.skill.as_ref().map(|skill| skill.as_str()))
                    && (is(&self.result, Some(entry.result)) || is(&self.result, code.as_deref()))
                    && is(&self.who, Some(&entry.source))
                    && is(&self.task, entry.task.as_ref().map(|task| task.as_str()))
            }
            Happening::Approval(deed) => {
                let by = |wanted: &String| deed.source.split(' ').any(|one| one == wanted);
                is(&self.agent, Some(&deed.target))
                    && self.skill.is_none()
                    && is(&self.result, Some(decided(deed)))
                    && self.who.as_ref().is_none_or(by)
                    && is(&self.task, deed.about.as_ref().map(|about| &*about.task))
            }
            Happening::Health(health) => {
                let alone = self.skill.is_none() && self.who.is_none() && self.task.is_none();
                alone && is(&self.agent, Some(&health.agent)) && is(&self.result, Some(health.is))
            }
        }
    }
}

/// The written form of a happening, for all who want it.
fn written(what: &Happening) -> Bytes {
    match what {
        Happening::Request(entry, trace) => event("request", &request(entry, trace.as_ref())),
        Happening::Approval(deed) => event("approval", &approval(deed)),
        Happening::Health(health) => event("agent", &self::health(health)),
    }
}

/// A name, where there is one.
fn known(name: &str) -> Option<&str> {
    Some(name).filter(|name| *name != "-")
}

fn request(entry: &Entry, trace: Option<&[u8; 16]>) -> Value {
    let trace = trace.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    json!({
        "kind": "request",
        "at": moment::write(entry.at),
        "who": known(&entry.source),
        "domain": known(&entry.domain),
        "address": entry.address,
        "listener": entry.listener.as_str(),
        "operation": entry.operation.as_str(),
        "agent": known(&entry.target),
        "instance": known(&entry.instance),
        "skill": entry.skill,
        "result": entry.result,
        "code": entry.code.map(|code| code.to_string()),
        "route": known(&entry.rule),
        "policy": known(&entry.cleared_by),
        "took_us": u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX),
        "request": entry.request.as_str(),
        "trace": trace,
        "task": entry.task,
    })
}

fn approval(deed: &Deed) -> Value {
    json!({
        "kind": "approval",
        "at": moment::write(deed.at),
        "who": known(&deed.source),
        "domain": known(&deed.domain),
        "agent": known(&deed.target),
        "result": decided(deed),
        "code": deed.code.map(|code| code.to_string()),
        "approval": deed.about.as_ref().map(|about| &about.approval),
        "by": word(deed, "by").filter(|by| !by.is_empty()),
        "skill": deed.about.as_ref().and_then(|about| about.skill.as_deref()),
        "task": deed.about.as_ref().map(|about| &about.task),
    })
}

fn health(Health { agent, instance, was, is, at }: &Health) -> Value {
    json!({"kind": "agent", "at": moment::write(*at), "agent": agent, "instance": instance, "was": was, "result": is})
}

/// What became of a question, in one word.
fn decided(deed: &Deed) -> &str {
    match deed.operation.strip_prefix("approval.") {
        Some("dispatch") if deed.result == "done" => "dispatched",
        Some("dispatch") | None => deed.result,
        Some(word) => word,
    }
}

/// A word of a deed's detail, which reads `by=… votes=…`.
fn word<'d>(deed: &'d Deed, name: &str) -> Option<&'d str> {
    let words = deed.detail.as_deref()?.split(' ');
    words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use moongate_core::entry::About;
    use moongate_core::{Operation, Time};

    use super::*;

    fn entry() -> Entry {
        Entry {
            request: "r1".into(),
            source: "local".into(),
            domain: "home.example".into(),
            address: [127, 0, 0, 1].into(),
            target: "lights".into(),
            instance: "lights@2".into(),
            skill: Some("lights.set".into()),
            task: Some("t1".into()),
            operation: Operation::Send,
            listener: Listener::Plain,
            result: "failed",
            code: Some(Code::AgentTimeout),
            rule: "-".into(),
            cleared_by: "no rule refuses".into(),
            intent: None,
            at: Time(0),
            took: Duration::from_micros(1234),
        }
    }

    fn deed(operation: &'static str, result: &'static str) -> Deed {
        Deed {
            operation: operation.into(),
            source: "alice bob".into(),
            domain: "home.example".into(),
            address: None,
            target: "home".into(),
            result,
            code: None,
            detail: Some("by=passkey,passkey votes=".into()),
            about: Some(About { approval: "a1".into(), skill: Some("door.open".into()), task: "t1".into() }),
            intent: None,
            at: Time(0),
        }
    }

    fn fits(query: &str, what: &Happening) -> bool {
        Wanted::read(Some(query)).unwrap_or_else(|problem| panic!("{problem}")).fits(what)
    }

    #[test]
    fn filters_are_met_exactly_and_all_of_them() {
        let what = Happening::Request(entry(), None);
        for query in
            ["", "agent=lights", "agent=lights&skill=lights.set&result=failed&who=local&task=t1", "result=MG-0502"]
        {
            assert!(fits(query, &what), "{query}");
        }
        for query in [
            "agent=light",
            "skill=lights",
            "result=done",
            "result=MG-0501",
            "who=alice",
            "task=t",
            "agent=lights&who=x",
        ] {
            assert!(!fits(query, &what), "{query}");
        }
        let what = Happening::Approval(deed("approval.approved", "done"));
        assert!(fits("who=bob&result=approved&task=t1&agent=home", &what));
        assert!(!fits("who=carol", &what) && !fits("skill=x", &what) && !fits("result=done", &what));
        let health = Health { agent: "lights".into(), instance: "lights@2".into(), was: "up", is: "down", at: Time(0) };
        let what = Happening::Health(health);
        assert!(fits("agent=lights&result=down", &what) && !fits("who=local", &what) && !fits("result=up", &what));
        assert!(Wanted::read(Some("agents=x")).is_err());
    }

    #[test]
    fn a_request_is_told_with_all_that_is_known_and_no_more() {
        let told = request(&entry(), Some(&[0xab; 16]));
        assert_eq!((&told["who"], &told["route"]), (&json!("local"), &Value::Null));
        assert_eq!((&told["code"], &told["took_us"]), (&json!("MG-0502"), &json!(1234)));
        assert_eq!(told["trace"], "ab".repeat(16));
    }

    #[test]
    fn what_became_of_a_question_is_one_word() {
        assert_eq!(approval(&deed("approval.denied", "done"))["result"], "denied");
        assert_eq!(approval(&deed("approval.dispatch", "done"))["result"], "dispatched");
        assert_eq!(approval(&deed("approval.dispatch", "failed"))["result"], "failed");
        assert_eq!(approval(&deed("approval.approved", "done"))["by"], "passkey,passkey");
    }
}
