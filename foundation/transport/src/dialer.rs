//! Small whole requests for rooms that must not open sockets: cards, callbacks, telemetry.
//!
//! - Chosen by the operator (no guard): through the pool.
//! - Chosen by a stranger (with a guard): the URL is judged, then every address that its name resolves to; refused ones
//!   are dropped and one of the others is connected to as judged, on a connection of its own, so that no second look-up
//!   and no older connection can lead elsewhere.
//! - No redirects, no proxy, no cookies, no decompression. One deadline and one size for the whole answer.
//!
//! Refused and unreachable look alike to the caller; the reason is for the log.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use moongate_core::seam::{Dialer, Fetch, Fetched, Later};
use moongate_core::{Code, Problem};
use tokio::time::timeout;

use crate::origin::Origin;
use crate::pool::{Pool, PoolBody, SendError, Stage};

mod pinned;

/// The dialer over a pool.
#[derive(Clone, Debug)]
pub struct HttpDialer {
    pool: Pool,
}

impl HttpDialer {
    /// A dialer that shares the pool's connections and TLS configuration.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    async fn exchange(&self, fetch: Fetch) -> Result<Fetched, Problem> {
        let (origin, request) = prepare(&fetch)?;
        match &fetch.egress {
            None => {
                let answer = self.pool.send(&origin, request).await.map_err(failed)?;
                whole(answer, fetch.limit, fetch.body_wanted).await
            }
            Some(guard) => {
                guard.judge_url(&format!("{origin}{}", request.uri()))?;
                let answer = pinned::send(self.pool.connector(), &origin, request, guard.as_ref()).await?;
                whole(answer, fetch.limit, fetch.body_wanted).await
            }
        }
    }
}

impl Dialer for HttpDialer {
    fn fetch(&self, request: Fetch) -> Later<'_, Result<Fetched, Problem>> {
        Box::pin(async move {
            let limit = Duration::from_millis(request.timeout_ms);
            match timeout(limit, self.exchange(request)).await {
                Ok(result) => result,
                Err(_) => Err(Problem::new(Code::AgentTimeout, "no answer in time")),
            }
        })
    }
}

fn prepare(fetch: &Fetch) -> Result<(Origin, Request<Full<Bytes>>), Problem> {
    let refuse =
        |reason: &dyn std::fmt::Display| Problem::new(Code::EgressRefused, format!("not a usable URL: {reason}"));
    let uri: Uri = fetch.url.parse().map_err(|error| refuse(&error))?;
    let origin = Origin::of(&uri, false).map_err(|error| refuse(&error))?;
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut request = Request::builder().method(fetch.method).uri(Uri::from(path));
    for (name, value) in &fetch.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(fetch.body.clone()))
        .map_err(|error| Problem::new(Code::Internal, "the request cannot be written").inside(error))?;
    Ok((origin, request))
}

pub(crate) fn failed(error: SendError) -> Problem {
    let (code, detail) = match error.stage {
        Stage::Resolve | Stage::Connect | Stage::Tls => (Code::AgentUnreachable, "the address cannot be reached"),
        Stage::Request | Stage::Body => (Code::AgentClosed, "the connection closed before the answer was complete"),
    };
    Problem::new(code, detail).inside(error)
}

async fn whole(answer: Response<PoolBody>, limit: usize, wanted: bool) -> Result<Fetched, Problem> {
    let (head, mut body) = answer.into_parts();
    let too_large = || Problem::new(Code::AgentAnswerTooLarge, format!("the answer has more than {limit} bytes"));
    if wanted && body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            if wanted {
                return Err(too_large());
            }
            break;
        }
        bytes.extend_from_slice(&data);
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Fetched { status: head.status.as_u16(), headers, body: bytes.freeze() })
}
