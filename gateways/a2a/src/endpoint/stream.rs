//! From a stream of events to a response body: server-sent events or gRPC frames, flushed one by one.
//!
//! A stream ends when its caller's credential does. A comment every 15 seconds keeps connections of quiet streams alive. When the gateway drains, streams are told and end.
//! An event's id is its number among those of its task, so that a reader who comes back with `Last-Event-ID` goes on
//! behind it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Frame;
use moongate_core::{Code, Problem};
use moongate_transport::{BoxError, Drain};
use moongate_wire::a2a::legacy::Style;
use moongate_wire::a2a::{Binding, Dialect, Version, error, grpc, legacy};
use moongate_wire::sse;

use super::body::ReplyBody;
use super::encode::{Manner, grpc_status, rpc_result};
use super::vigil::Over;
use crate::supply::{Piece, Stream};

const QUIET: Duration = Duration::from_secs(15);

struct Pump {
    events: Stream,
    dialect: Dialect,
    style: Style,
    plain_bytes: bool,
    id: Bytes,
    drain: Drain,
    /// When the caller's credential has ended.
    over: Over,
    ended: bool,
    trailers: bool,
}

/// The response that carries a stream.
pub(super) fn response(events: Stream, manner: &Manner, drain: Drain, over: Over) -> Response<ReplyBody> {
    let grpc = manner.dialect.binding == Binding::Grpc;
    let pump = Pump {
        events,
        dialect: manner.dialect,
        style: manner.style,
        plain_bytes: manner.plain_bytes,
        id: manner.id.clone(),
        drain,
        over,
        ended: false,
        trailers: grpc,
    };
    let frames =
        unfold(pump, |mut pump| async move { pump.frame().await.map(|frame| (Ok::<_, BoxError>(frame), pump)) });
    let mut response = Response::new(ReplyBody::Stream(Box::pin(frames)));
    let headers = response.headers_mut();
    let kind = if grpc { "application/grpc" } else { "text/event-stream" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl Pump {
    async fn frame(&mut self) -> Option<Frame<Bytes>> {
        if self.ended {
            return self.last_word();
        }
        let draining = self.drain.started();
        let next = tokio::select! {
            biased;
            // Before the next event: a stream that is never quiet ends as well.
            why = &mut self.over => Some(Err(why)),
            next = self.events.next() => next,
            () = draining => Some(Err(Problem::new(Code::Draining, "the gateway is shutting down; subscribe again"))),
            () = tokio::time::sleep(QUIET), if self.dialect.binding != Binding::Grpc => {
                return Some(Frame::data(Bytes::from_static(sse::KEEP_ALIVE)));
            }
        };
        match next {
            None => {
                self.ended = true;
                self.last_word()
            }
            Some(Ok(piece)) => {
                self.ended = piece.last;
                match self.encode(piece) {
                    Ok(frame) => Some(Frame::data(frame)),
                    Err(problem) => Some(self.broken(&problem)),
                }
            }
            Some(Err(problem)) => Some(self.broken(&problem)),
        }
    }

    /// What ends a stream that ended well.
    fn last_word(&mut self) -> Option<Frame<Bytes>> {
        if !std::mem::take(&mut self.trailers) {
            return None;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Frame::trailers(trailers))
    }

    /// What ends a stream that broke, in the client's binding.
    fn broken(&mut self, problem: &Problem) -> Frame<Bytes> {
        self.ended = true;
        self.trailers = false;
        if let Some(inside) = &problem.inside {
            tracing::warn!(code = %problem.code, inside, "a stream broke: {}", problem.detail);
        }
        let Dialect { binding, version } = self.dialect;
        match binding {
            Binding::JsonRpc => Frame::data(sse::encode(&error::to_jsonrpc(problem, version, &self.id))),
            Binding::Http => {
                let (_, body) = error::to_http(problem, version);
                Frame::data(sse::encode_event(Some("error"), None, &body))
            }
            Binding::Grpc => {
                let mut trailers = HeaderMap::new();
                grpc_status(problem, version, &mut trailers);
                Frame::trailers(trailers)
            }
        }
    }

    fn encode(&self, piece: Piece) -> Result<Bytes, Problem> {
        let Dialect { binding, version } = self.dialect;
        let seq = piece.seq.map(|seq| seq.to_string());
        let sent = |data: &[u8]| sse::encode_event(None, seq.as_deref(), data);
        if let Some(raw) = piece.raw {
            return Ok(if binding == Binding::Grpc { grpc::frame(&raw) } else { sent(&raw) });
        }
        if version == Version::V1 {
            return match binding {
                Binding::JsonRpc => Ok(sent(&rpc_result(&self.id, &piece.canonical))),
                Binding::Http => Ok(sent(&piece.canonical)),
                Binding::Grpc => Ok(grpc::frame(&grpc::encode_event(Version::V1, &value(&piece.canonical)?)?)),
            };
        }
        let mut event = legacy::event_from_v1(self.style, value(&piece.canonical)?, piece.last)?;
        if self.plain_bytes {
            legacy::plain_file_bytes(&mut event);
        }
        if binding == Binding::Grpc {
            return Ok(grpc::frame(&grpc::encode_event(Version::V03, &event)?));
        }
        let text = serde_json::to_vec(&event).unwrap_or_default();
        Ok(if binding == Binding::JsonRpc { sent(&rpc_result(&self.id, &text)) } else { sent(&text) })
    }
}

fn value(canonical: &[u8]) -> Result<serde_json::Value, Problem> {
    serde_json::from_slice(canonical)
        .map_err(|cause| Problem::new(Code::AgentGarbage, "an event is not JSON").inside(cause))
}
