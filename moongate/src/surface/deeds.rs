//! What changes something and is no request to an agent is in the record before it is done, and again with how it ended:
//! operators' actions, sign-ins, tokens that are given and taken back.
//!
//! - The first line is durable before anything happens; where that cannot be, nothing happens.
//! - Heartbeats, explanations and questions about tokens leave one line, afterwards. So does whoever reads, the first time in a
//!   minute: of two looks at the same place by the same one the log says no more than of one.
//! - What is refused before anybody looks at it, as the request of a foreign web page, has a line if it would have changed something.
//! - Where the log is so far behind that its queue is full, they wait, and are then refused, as requests to agents are.
//! - A line's source is whoever was made sure of: by a credential or a session before it is done, or by whoever did it, as at a
//!   sign-in. What a request says of itself is a claim, and said to be one.
//! - Whoever is not known gets no line flushed for the asking: what is refused is said once, afterwards.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response};
use moongate_a2a::endpoint::{ReplyBody, problem_response};
use moongate_console::{Console, Pages};
use moongate_core::entry::{By, Deed, Intent, Line, REFUSED};
use moongate_core::seam::Recorder as _;
use moongate_core::{Listener, Problem};
use moongate_identity::authority::form;
use moongate_transport::Peer;

use super::{Surface, routes};
use crate::wire_up::record::{NOBODY, Records};

/// Operations that change nothing anybody has to answer for.
const LIGHT: [&str; 4] = ["agents.heartbeat", "console.routes", "explain", "oauth.introspect"];

/// Characters of a claim that a line keeps.
const CLAIM: usize = 64;

/// What is being done. Its last line is written when it ends, also if its caller goes away before.
pub(super) struct Doing {
    records: Arc<Records>,
    deed: Option<Deed>,
    claimed: Option<String>,
}

/// Who does it, as far as that is known before it is done.
pub(super) struct Doer {
    pub(super) source: Arc<str>,
    pub(super) domain: Arc<str>,
    /// Whether that one may be made to wait for, so that a line is flushed before.
    pub(super) known: bool,
    pub(super) detail: Option<Arc<str>>,
    /// Who the request says that it is from: said of it only if nobody turns out to have sent it.
    pub(super) claimed: Option<String>,
}

impl Doer {
    /// Nobody that is known.
    pub(super) fn nobody() -> Self {
        Self { source: NOBODY.into(), domain: NOBODY.into(), known: false, detail: None, claimed: None }
    }
}

impl Surface {
    /// Notes what a caller of the API is about to do; nothing for what only reads.
    pub(super) async fn api_deed<B>(
        &self,
        listener: Listener,
        peer: &Peer,
        request: &Request<B>,
    ) -> Result<Option<Doing>, Box<Response<ReplyBody>>> {
        if reads(request.method()) || self.records.log().is_none() {
            return Ok(None);
        }
        let doer = match self.caller(listener, peer.clone(), request).await {
            Ok(who) => Doer { source: who.id.clone(), domain: who.domain.clone(), known: true, ..Doer::nobody() },
            Err(_) => Doer::nobody(),
        };
        self.deed(peer, request, doer).await
    }

    /// The same for programs at the authorization server. Which one it is, if it proves that, is known afterwards.
    pub(super) async fn program_deed(
        &self,
        peer: &Peer,
        request: &Request<Bytes>,
    ) -> Result<Option<Doing>, Box<Response<ReplyBody>>> {
        if reads(request.method()) || self.records.log().is_none() {
            return Ok(None);
        }
        let claimed = field(request.body(), "client_id").or_else(|| basic(request));
        let detail = field(request.body(), "grant_type").map(|grant| format!("grant_type={}", cut(&grant)).into());
        self.deed(peer, request, Doer { claimed, detail, ..Doer::nobody() }).await
    }

    /// The same for whoever reads a page, or sends a form of it.
    pub(super) async fn page_deed(
        &self,
        peer: &Peer,
        request: &Request<Bytes>,
        doer: Doer,
    ) -> Result<Option<Doing>, Box<Response<ReplyBody>>> {
        let path = request.uri().path();
        if self.records.log().is_none() {
            return Ok(None);
        }
        if !reads(request.method()) {
            return self.deed(peer, request, doer).await;
        }
        let what = (&doer.source, peer.remote.ip(), path, request.uri().query());
        if routes::known(request.method(), path) != routes::Known::Served || !self.records.tells_reading(what) {
            return Ok(None);
        }
        // A look is said once, afterwards.
        self.deed(peer, request, Doer { known: false, ..doer }).await
    }

    /// Whoever a session is of, or nobody.
    pub(super) fn somebody(&self, source: Option<Arc<str>>) -> Doer {
        match source {
            Some(source) => Doer { source, domain: self.records.domain().clone(), ..Doer::nobody() },
            None => Doer::nobody(),
        }
    }

    /// Notes afterwards that somebody reads; nothing for what changes something, which is noted by whoever does it.
    pub(super) async fn reading<B>(
        &self,
        listener: Listener,
        peer: &Peer,
        request: &Request<B>,
    ) -> Result<Option<Doing>, Box<Response<ReplyBody>>> {
        // Pages know by their cookie who looks at them.
        let path = request.uri().path();
        let elsewhere = self.records.log().is_none() || Console::serves(path) || Pages::serves(path);
        if !matches!(*request.method(), Method::GET | Method::HEAD) || elsewhere {
            return Ok(None);
        }
        let who = self.caller(listener, peer.clone(), request).await.ok();
        let name = who.as_ref().map_or_else(|| Arc::from("-"), |who| who.id.clone());
        let domain = who.as_ref().map_or_else(|| Arc::from("-"), |who| who.domain.clone());
        // What a query asks for is another thing; of the log's lines it is all the same which part.
        let target = (read_place(path), request.uri().query());
        if !self.records.tells_reading((&name, &domain, peer.remote.ip(), target)) {
            return Ok(None);
        }
        let doer = Doer { source: name, domain, ..Doer::nobody() };
        self.deed(peer, request, doer).await
    }

    /// Notes what was refused before anybody asked who it is from, if it would have changed anything.
    pub(super) fn turned_away<B>(&self, peer: &Peer, request: &Request<B>, problem: &Problem) {
        if reads(request.method()) {
            return;
        }
        self.records.note(Deed {
            operation: REFUSED.into(),
            source: NOBODY.into(),
            domain: NOBODY.into(),
            address: Some(peer.remote.ip().to_canonical()),
            target: request.uri().path().into(),
            result: "failed",
            code: Some(problem.code),
            detail: None,
            about: None,
            intent: None,
            at: self.records.clock.now(),
        });
    }

    async fn deed<B>(
        &self,
        peer: &Peer,
        request: &Request<B>,
        doer: Doer,
    ) -> Result<Option<Doing>, Box<Response<ReplyBody>>> {
        let path = request.uri().path();
        let operation = operation(request.method(), path);
        let light = !doer.known || reads(request.method()) || LIGHT.contains(&&*operation);
        let deed = Deed {
            operation: operation.into(),
            source: doer.source,
            domain: doer.domain,
            address: Some(peer.remote.ip().to_canonical()),
            target: if reads(request.method()) { read_place(path) } else { path }.into(),
            result: "intended",
            code: None,
            detail: doer.detail,
            about: None,
            intent: None,
            at: self.records.clock.now(),
        };
        match self.begin(&deed, light).await {
            Ok(intent) => {
                let (records, deed) = (self.records.clone(), Some(Deed { intent, ..deed }));
                Ok(Some(Doing { records, deed, claimed: doer.claimed }))
            }
            Err(problem) => {
                // Nothing happens, and that is said, or counted with all that were refused so.
                self.records.note(Deed { result: "failed", code: Some(problem.code), ..deed });
                Err(Box::new(problem_response(&problem)))
            }
        }
    }

    /// Waits until the log has room for what is done, and what is not light until its line is on the disk.
    async fn begin(&self, deed: &Deed, light: bool) -> Result<Option<Intent>, Problem> {
        if let Some(room) = self.records.room() {
            room.await?;
        }
        match self.records.intend(Line::Deed(deed.clone())).filter(|_| !light) {
            Some(intended) => intended.await.map(Some),
            None => Ok(None),
        }
    }
}

impl Doing {
    /// It has ended with this answer, which says whose request it was, if that was not sure before.
    pub(super) fn ended<B>(mut self, response: &Response<B>) {
        let Some(deed) = &mut self.deed else { return };
        let (status, said) = (response.status(), response.extensions());
        if let Some(By(source)) = said.get() {
            (deed.source, deed.domain) = (source.clone(), self.records.domain().clone());
        }
        if status.is_client_error() || status.is_server_error() {
            (deed.result, deed.code) = ("failed", said.get().copied());
        } else {
            deed.result = "done";
        }
        add(deed, &format!("status={}", status.as_u16()));
    }

    /// One more thing about it.
    pub(super) fn told(&mut self, what: &str) {
        if let Some(deed) = &mut self.deed {
            add(deed, what);
        }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        let Some(mut deed) = self.deed.take() else { return };
        if deed.result == "intended" {
            deed.result = "abandoned";
        }
        if let Some(claimed) = self.claimed.take().filter(|_| &*deed.source == NOBODY) {
            add(&mut deed, &format!("claimed={}", cut(&claimed)));
        }
        deed.at = self.records.clock.now();
        self.records.note(deed);
    }
}

fn add(deed: &mut Deed, what: &str) {
    let before = deed.detail.as_deref().map_or_else(String::new, |detail| format!("{detail} "));
    deed.detail = Some(format!("{before}{what}").into());
}

/// Notes the end of what was begun, if anything was.
pub(super) fn ended(doing: Option<Doing>, response: Response<ReplyBody>) -> Response<ReplyBody> {
    if let Some(doing) = doing {
        doing.ended(&response);
    }
    response
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What is read, without which part of it: whoever reads the log reads many tiles of it.
fn read_place(path: &str) -> &str {
    const LINES: &str = "/tile/entries/";
    path.find(LINES).and_then(|at| path.get(..at + LINES.len() - 1)).unwrap_or(path)
}

/// The word for what a request does: `agents.add`, `tasks.cancel`, `oauth.token`, `users.read`.
fn operation(method: &Method, path: &str) -> String {
    if matches!(*method, Method::GET | Method::HEAD) {
        let noun = path.trim_start_matches("/api/v1").split('/').nth(1).unwrap_or_default();
        let page = path.strip_prefix("/oauth/").or_else(|| path.strip_prefix("/console/"));
        let rest = page
            .filter(|place| !place.is_empty())
            .map_or_else(String::new, |place| format!(".{}", place.replace('/', ".")));
        return format!("{noun}{rest}.read");
    }
    if let Some(place) = path.strip_prefix("/oauth/") {
        return format!("oauth.{}", place.replace('/', "."));
    }
    if let Some(place) = path.strip_prefix("/console/") {
        return format!("console.{}", place.replace('/', "."));
    }
    if let Some(form) = path.strip_prefix("/approvals/app/") {
        return format!("push.{form}");
    }
    if path.starts_with("/approvals/") {
        return "approvals.answer".to_owned();
    }
    let path = path.strip_prefix("/api/v1/").unwrap_or(path).trim_end_matches('/');
    let (path, verb) = path.rsplit_once(':').map_or((path, None), |(path, verb)| (path, Some(verb)));
    let mut segments = path.split('/');
    let (noun, last) = (segments.next().unwrap_or_default(), segments.nth(1));
    let verb: Cow<'_, str> = match (verb.or(last), method) {
        (Some(verb), _) => verb.into(),
        (None, &Method::POST) if noun == "explain" => return noun.to_owned(),
        (None, &Method::POST) => "add".into(),
        (None, &Method::DELETE) => "remove".into(),
        (None, other) => other.as_str().to_ascii_lowercase().into(),
    };
    format!("{noun}.{verb}")
}

/// A field of a form.
pub(super) fn field(body: &[u8], name: &str) -> Option<String> {
    let pairs = form::pairs(std::str::from_utf8(body).ok()?);
    form::first(&pairs, name).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// A stranger's words as a line shows them: not many, and none that look like others of the line.
fn cut(text: &str) -> String {
    let plain = |character: &char| character.is_ascii_alphanumeric() || "-._~:@/".contains(*character);
    let shown = |character: char| match plain(&character) {
        true => character.to_string(),
        false => character.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
    };
    text.chars().take(CLAIM).map(shown).collect()
}

/// The name in an `Authorization: Basic …`.
fn basic<B>(request: &Request<B>) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (_, encoded) = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    form::decoded(text.split_once(':')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_what_they_do() {
        for (method, path, expected) in [
            (Method::POST, "/api/v1/agents", "agents.add"),
            (Method::DELETE, "/api/v1/agents/lights", "agents.remove"),
            (Method::PUT, "/api/v1/agents/lights/heartbeat", "agents.heartbeat"),
            (Method::POST, "/api/v1/tasks/7:cancel", "tasks.cancel"),
            (Method::POST, "/api/v1/store:backup", "store.backup"),
            (Method::POST, "/api/v1/explain", "explain"),
            (Method::POST, "/api/v1/approvals/7:approve", "approvals.approve"),
            (Method::POST, "/approvals/7", "approvals.answer"),
            (Method::POST, "/console/sign-in", "console.sign-in"),
            (Method::POST, "/api/v1/console:link", "console.link"),
            (Method::POST, "/approvals/app/subscribe", "push.subscribe"),
            (Method::DELETE, "/api/v1/push/q5Jm", "push.remove"),
            (Method::POST, "/oauth/token", "oauth.token"),
            (Method::POST, "/oauth/sign-in/passkey", "oauth.sign-in.passkey"),
            (Method::GET, "/api/v1/users/alice", "users.read"),
            (Method::HEAD, "/api/v1/tasks", "tasks.read"),
            (Method::GET, "/approvals/7", "approvals.read"),
            (Method::GET, "/oauth/account", "oauth.account.read"),
            (Method::GET, "/console", "console.read"),
            (Method::GET, "/console/agents/lamp", "console.agents.lamp.read"),
            (Method::GET, "/audit/2026-11/tile/entries/x001/067", "audit.read"),
        ] {
            assert_eq!(operation(&method, path), expected);
        }
    }

    #[test]
    fn forms_say_who_asks() {
        let body = b"grant_type=client_credentials&client_id=night%20watch";
        assert_eq!(field(body, "client_id").as_deref(), Some("night watch"));
        assert_eq!(field(body, "name"), None);
    }

    #[test]
    fn a_claim_is_short_and_passes_for_nothing_else() {
        assert_eq!(cut("night-watch"), "night-watch");
        assert_eq!(cut("bob status=200\n"), "bob%20status%3D200%0A");
        assert_eq!(cut(&"ä".repeat(1000)), "%C3%A4".repeat(CLAIM));
    }
}
