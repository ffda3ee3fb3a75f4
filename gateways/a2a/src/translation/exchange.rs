//! One exchange with an agent: send the request, read a whole answer or a stream of events, tell failures apart.
//!
//! What the agent has not acknowledged (no connection, or 502, 503, 504 in its place) may be tried elsewhere; what may
//! have been acknowledged is never sent twice, unless the operator calls the skill idempotent.

use std::time::Duration;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use moongate_core::problem::Reported;
use moongate_core::{Code, Operation, Problem, Retry};
use moongate_transport::{PoolBody, SendError};
use moongate_wire::a2a::{Binding, Dialect, error, grpc};
use moongate_wire::json::Limits;
use moongate_wire::sse;

use super::behalf::Who;
use super::incoming::{self, Answer, garbage};
use super::outgoing::{self, Outgoing};
use crate::call::Call;
use crate::routing::balance::Verdict;
use crate::routing::credential::Shows;
use crate::routing::directory::Upstream;

/// Limits of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long until the answer, or the stream's beginning, must be there.
    pub timeout: Duration,
    /// The most bytes of an answer or an event.
    pub answer_bytes: usize,
    /// How JSON may look.
    pub json: Limits,
}

/// One request to one address of an agent.
pub struct Exchange<'a> {
    /// The client's request.
    pub call: &'a Call,
    /// For whom.
    pub who: Who<'a>,
    /// Where to.
    pub upstream: &'a Upstream,
    /// What is asked.
    pub outgoing: &'a Outgoing,
    /// The `traceparent` to send.
    pub trace: Option<&'a str>,
    /// Limits.
    pub bounds: Bounds,
}

impl Exchange<'_> {
    /// Sends and reads the whole answer.
    ///
    /// # Errors
    /// The agent's own error, or what kept it from answering.
    pub async fn whole(&self) -> Result<Answer, Problem> {
        tokio::time::timeout(self.bounds.timeout, self.whole_unbounded()).await.unwrap_or_else(|_| Err(self.late()))
    }

    async fn whole_unbounded(&self) -> Result<Answer, Problem> {
        let dialect = self.upstream.dialect;
        let response = self.send(false).await?;
        let (parts, body) = response.into_parts();
        let (bytes, trailers) = collect(body, self.bounds.answer_bytes).await?;
        if dialect.binding == Binding::Grpc {
            grpc_status(&parts.headers, trailers.as_ref())?;
            let mut frames = grpc::Deframer::answers(self.bounds.answer_bytes);
            frames.feed(bytes);
            let message = frames.next().map_err(garbage)?.unwrap_or_default();
            return incoming::answer(dialect, self.outgoing.operation, self.sent(), message, &self.bounds.json);
        }
        check_status(dialect, parts.status, &parts.headers, &bytes)?;
        incoming::answer(dialect, self.outgoing.operation, self.sent(), bytes, &self.bounds.json)
    }

    /// Sends and returns the stream of events; a refusal before the first event is an error here.
    ///
    /// # Errors
    /// The agent's own error, or what kept it from answering.
    pub async fn events(&self) -> Result<Events, Problem> {
        tokio::time::timeout(self.bounds.timeout, self.events_unbounded()).await.unwrap_or_else(|_| Err(self.late()))
    }

    async fn events_unbounded(&self) -> Result<Events, Problem> {
        let dialect = self.upstream.dialect;
        let mut response = self.send(false).await?;
        // Some agents take SubscribeToTask only as GET, as the proto has it (A2A 1.0 §11.4 says POST).
        if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && self.outgoing.operation == Operation::Subscribe
            && dialect.binding == Binding::Http
        {
            response = self.send(true).await?;
        }
        let streams = dialect.binding == Binding::Grpc
            || response
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.starts_with("text/event-stream"));
        let (parts, body) = response.into_parts();
        if streams && parts.status == StatusCode::OK {
            if dialect.binding == Binding::Grpc {
                grpc_status(&parts.headers, None)?;
            }
            return Ok(Events::new(dialect, Bytes::copy_from_slice(self.sent()), body, self.bounds));
        }
        // Not a stream: an error, or an agent that answers a stream with its only event.
        let (bytes, _) = collect(body, self.bounds.answer_bytes).await?;
        check_status(dialect, parts.status, &parts.headers, &bytes)?;
        let only = incoming::event(dialect, self.sent(), bytes, &self.bounds.json)?;
        Ok(Events::only(dialect, only, self.bounds))
    }

    /// Sends with the gateway's credential, its own or one for whoever asks. One that was fetched and is refused is fetched anew and shown once more: the
    /// agent did not look at the request.
    async fn send(&self, by_get: bool) -> Result<Response<PoolBody>, Problem> {
        let credential = match &self.upstream.shows {
            None => return self.send_with(by_get, None).await,
            Some(Shows::Header(name, value)) => {
                return self.send_with(by_get, Some((name.clone(), value.clone()))).await;
            }
            Some(Shows::Fetched(credential)) => credential,
        };
        let on = self.who.behalf(self.call);
        let shown = match credential.ready(&on) {
            Some(shown) => shown,
            None => credential.get(&on).await?,
        };
        let response = self.send_with(by_get, Shows::fetched(&shown)).await?;
        if !refuses(&response) {
            return Ok(response);
        }
        match credential.renewed(&on, &shown).await {
            Some(another) => self.send_with(by_get, Shows::fetched(&another)).await,
            None => Ok(response),
        }
    }

    async fn send_with(
        &self,
        by_get: bool,
        credential: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Response<PoolBody>, Problem> {
        let mut request = self.request(by_get)?;
        if let Some((name, value)) = credential {
            request.headers_mut().insert(name, value);
        }
        self.upstream.origin.send(request).await.map_err(|error| unreachable(&error))
    }

    fn request(&self, by_get: bool) -> Result<Request<Full<Bytes>>, Problem> {
        let mut request = outgoing::request(self.call, self.upstream, self.outgoing, self.trace)?;
        if by_get {
            *request.method_mut() = http::Method::GET;
            *request.body_mut() = http_body_util::Full::default();
        }
        Ok(request)
    }

    /// The JSON-RPC id that the agent is given.
    fn sent(&self) -> &[u8] {
        if outgoing::passes(self.call, self.upstream, self.outgoing) { &self.call.rpc_id } else { outgoing::OWN_ID }
    }

    fn late(&self) -> Problem {
        Problem::new(
            Code::AgentTimeout,
            format!("the agent did not answer within {} seconds", self.bounds.timeout.as_secs().max(1)),
        )
    }
}

/// Whether the agent does not know the gateway, in any binding.
fn refuses(response: &Response<PoolBody>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        || response.headers().get("grpc-status").is_some_and(|status| status == "16")
}

/// A failure of the connection as a problem, without the address.
fn unreachable(error: &SendError) -> Problem {
    if error.unsent() {
        Problem::new(Code::AgentUnreachable, "the agent cannot be reached").inside(error)
    } else {
        Problem::new(Code::AgentClosed, "the agent closed the connection before it answered").inside(error)
    }
}

/// How a result counts for balancing.
pub fn verdict(result: Result<(), &Problem>) -> Verdict {
    match result {
        Ok(()) => Verdict::Ok,
        Err(problem) if problem.reported.is_some() => Verdict::Ok,
        Err(problem) => match (problem.code, problem.retry) {
            (Code::AgentOverloaded, Retry::Later(after)) => Verdict::Overloaded(after),
            (
                Code::AgentUnreachable
                | Code::AgentClosed
                | Code::AgentTimeout
                | Code::AgentGarbage
                | Code::AgentFailed,
                _,
            ) => Verdict::Failed,
            _ => Verdict::Ok,
        },
    }
}

async fn collect(mut body: PoolBody, limit: usize) -> Result<(Bytes, Option<HeaderMap>), Problem> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(Code::AgentClosed, "the agent closed the connection in the middle of its answer").inside(error)
        })?;
        match frame.into_data() {
            Ok(data) => {
                let held = rest.as_ref().map_or(first.len(), BytesMut::len);
                if held + data.len() > limit {
                    return Err(Problem::new(
                        Code::AgentAnswerTooLarge,
                        format!("the agent's answer is larger than {limit} bytes"),
                    ));
                }
                match &mut rest {
                    Some(rest) => rest.extend_from_slice(&data),
                    None if first.is_empty() => first = data,
                    None => {
                        let mut all = BytesMut::with_capacity((first.len() + data.len()).next_power_of_two());
                        all.extend_from_slice(&first);
                        all.extend_from_slice(&data);
                        rest = Some(all);
                    }
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((rest.map_or(first, BytesMut::freeze), trailers))
}

fn check_status(dialect: Dialect, status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Result<(), Problem> {
    if status.is_success() {
        return Ok(());
    }
    let tells = serde_json::from_slice::<serde_json::Value>(body).ok();
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let after = headers
                .get(http::header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs);
            return Err(Problem::new(Code::AgentOverloaded, "the agent is overloaded").retry(Retry::Later(after)));
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            return Err(Problem::new(Code::AgentUnreachable, "the agent is not available").inside(status));
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(
                Problem::new(Code::AgentRefusedUs, "the agent did not accept the gateway's credential").inside(status)
            );
        }
        _ => {}
    }
    match (dialect.binding, tells) {
        (Binding::JsonRpc, Some(value)) => match value.get("error") {
            Some(object) => Err(error::from_jsonrpc(object)),
            None => Err(odd_status(status)),
        },
        (Binding::Http, Some(_)) => Err(error::from_http(status.as_u16(), body)),
        (Binding::Http, None) if status.is_client_error() => Err(error::from_http(status.as_u16(), body)),
        _ => Err(odd_status(status)),
    }
}

fn odd_status(status: StatusCode) -> Problem {
    Problem::new(Code::AgentGarbage, format!("the agent answered HTTP {} without an A2A error", status.as_u16()))
}

/// The status of a gRPC exchange, from its trailers or, if there was nothing else, from its headers.
fn grpc_status(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Result<(), Problem> {
    let text = |name: &str| {
        trailers.and_then(|map| map.get(name)).or_else(|| headers.get(name)).and_then(|value| value.to_str().ok())
    };
    let Some(code) = text("grpc-status") else {
        return match trailers {
            Some(_) => Err(Problem::new(Code::AgentGarbage, "the agent's gRPC answer has no status")),
            None => Ok(()),
        };
    };
    if code == "0" {
        return Ok(());
    }
    let message = percent_decode(text("grpc-message").unwrap_or_default());
    let details = text("grpc-status-details-bin")
        .map(|text| text.trim_end_matches('='))
        .and_then(|text| base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).ok())
        .unwrap_or_default();
    match code {
        "14" if details.is_empty() => {
            Err(Problem::new(Code::AgentUnreachable, "the agent is not available").inside(message))
        }
        "8" => Err(Problem::new(Code::AgentOverloaded, "the agent is overloaded")),
        "16" => Err(Problem::new(Code::AgentRefusedUs, "the agent did not accept the gateway's credential")),
        "12" if details.is_empty() => Err(Problem::new(Code::NotOffered, "the agent does not offer this operation")
            .reported(Reported { code: -32004, message, details: None })),
        _ => Err(error::from_grpc(code.parse().unwrap_or(2), &message, &details)),
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

enum Framing {
    Sse(Box<sse::Parser>),
    Grpc(grpc::Deframer),
}

/// The events of one stream, in order.
pub struct Events {
    dialect: Dialect,
    sent: Bytes,
    body: Option<PoolBody>,
    framing: Framing,
    bounds: Bounds,
    pending: Option<Answer>,
}

impl Events {
    fn new(dialect: Dialect, sent: Bytes, body: PoolBody, bounds: Bounds) -> Self {
        let framing = if dialect.binding == Binding::Grpc {
            Framing::Grpc(grpc::Deframer::answers(bounds.answer_bytes))
        } else {
            Framing::Sse(Box::new(sse::Parser::new(bounds.answer_bytes)))
        };
        Self { dialect, sent, body: Some(body), framing, bounds, pending: None }
    }

    fn only(dialect: Dialect, answer: Answer, bounds: Bounds) -> Self {
        Self {
            dialect,
            sent: Bytes::new(),
            body: None,
            framing: Framing::Grpc(grpc::Deframer::answers(0)),
            bounds,
            pending: Some(answer),
        }
    }

    /// The next event; `None` at the orderly end.
    pub async fn next(&mut self) -> Option<Result<Answer, Problem>> {
        if let Some(pending) = self.pending.take() {
            return Some(Ok(pending));
        }
        loop {
            match self.framed() {
                Ok(Some(data)) => {
                    let answer = incoming::event(self.dialect, &self.sent, data, &self.bounds.json);
                    if answer.is_err() {
                        self.body = None;
                    }
                    return Some(answer);
                }
                Ok(None) => {}
                Err(problem) => {
                    self.body = None;
                    return Some(Err(garbage(problem)));
                }
            }
            let frame = self.body.as_mut()?.frame().await;
            match frame {
                None => {
                    // An event without its closing blank line is no event (HTML, *server-sent events*).
                    self.body = None;
                }
                Some(Err(error)) => {
                    self.body = None;
                    let detail = "the agent closed the connection in the middle of its stream";
                    return Some(Err(Problem::new(Code::AgentClosed, detail).inside(error)));
                }
                Some(Ok(frame)) => {
                    if let Err(problem) = self.feed(frame) {
                        self.body = None;
                        return Some(Err(problem));
                    }
                }
            }
        }
    }

    fn feed(&mut self, frame: http_body::Frame<Bytes>) -> Result<(), Problem> {
        match (frame.into_data(), &mut self.framing) {
            (Ok(data), Framing::Sse(parser)) => parser.feed(data).map_err(garbage),
            (Ok(data), Framing::Grpc(frames)) => {
                frames.feed(data);
                Ok(())
            }
            (Err(frame), Framing::Grpc(_)) => match frame.into_trailers() {
                Ok(trailers) => grpc_status(&HeaderMap::new(), Some(&trailers)),
                Err(_) => Ok(()),
            },
            (Err(_), Framing::Sse(_)) => Ok(()),
        }
    }

    fn framed(&mut self) -> Result<Option<Bytes>, Problem> {
        match &mut self.framing {
            Framing::Grpc(frames) => frames.next(),
            Framing::Sse(parser) => Ok(loop {
                let Some(event) = parser.next() else { break None };
                if event.event.as_deref() == Some("error") {
                    return Err(error::from_http(500, &event.data));
                }
                if !event.data.is_empty() {
                    break Some(event.data);
                }
            }),
        }
    }
}

/// Whether an operation may be asked again elsewhere after a failure that left nothing acknowledged.
pub fn may_retry(operation: Operation, problem: &Problem) -> bool {
    problem.retry == Retry::Elsewhere && (operation.carries_message() || operation == Operation::ExtendedCard)
}
