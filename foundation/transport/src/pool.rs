//! Connections to agents, kept for the next request. This is the hot path out.
//!
//! - HTTP/1.1 (`h1`): a connection has no task of its own. The task that waits for the answer drives it, and the
//!   answer's body goes on driving it while it is read; then it returns to its origin's stack (the warmest is taken
//!   first). So an exchange wakes nobody but the one who waits.
//! - HTTP/2 (`h2`): one connection for all requests to an origin, driven by a task, replaced when it fails or the
//!   server says GOAWAY.
//!
//! It decides nothing about retries but one case: a request of which not a byte was written, because the kept connection
//! had been closed meanwhile, goes out once more on a fresh one. Timeouts of an exchange belong to the caller: dropping
//! the future, or the body, closes the connection.

mod error;
mod gate;
pub(crate) mod h1;
mod h2;
mod relay;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use parking_lot::Mutex;

pub use error::{SendError, Stage};

use crate::certified::Certified;
use crate::connect::{Connector, Resolve, SystemResolver};
use crate::cores;
use crate::origin::Origin;

/// How the pool keeps connections.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// The time for look-up, connection and TLS handshake together.
    pub connect_timeout: Duration,
    /// HTTP/1.1 connections that wait for a request, for each origin.
    pub idle_per_origin: usize,
    /// How long one may wait.
    pub idle_timeout: Duration,
    /// HTTP/1.1 connections that are open, for each origin; further requests wait, at most for `connect_timeout`.
    pub max_per_origin: usize,
    /// How many cores there are ([`crate::Cores`]); each keeps connections of its own.
    pub cores: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            idle_per_origin: 128,
            idle_timeout: Duration::from_secs(60),
            max_per_origin: 1024,
            cores: 0,
        }
    }
}

/// The connections to all origins. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    config: PoolConfig,
    connector: Arc<Connector>,
    origins: Mutex<HashMap<Origin, Arc<OriginPool>>>,
    tended: AtomicBool,
}

impl Pool {
    /// An empty pool. The TLS configuration's own ALPN list is replaced by that of each origin.
    pub fn new(config: PoolConfig, tls: Arc<rustls::ClientConfig>) -> Self {
        Self::with_resolver(config, &tls, Arc::new(SystemResolver))
    }

    /// An empty pool whose servers' certificates are judged again while its connections live.
    pub fn certified(
        config: PoolConfig,
        tls: &rustls::ClientConfig,
        resolver: Arc<dyn Resolve>,
        servers: Arc<Certified>,
    ) -> Self {
        Self::over(config, Connector::new(resolver, tls, config.connect_timeout, Some(servers)))
    }

    /// An empty pool that asks another resolver than the system's.
    pub fn with_resolver(config: PoolConfig, tls: &rustls::ClientConfig, resolver: Arc<dyn Resolve>) -> Self {
        Self::over(config, Connector::new(resolver, tls, config.connect_timeout, None))
    }

    fn over(config: PoolConfig, connector: Connector) -> Self {
        let connector = Arc::new(connector);
        let origins = Mutex::new(HashMap::new());
        Self { shared: Arc::new(Shared { config, connector, origins, tended: AtomicBool::new(false) }) }
    }

    /// The pool of one origin; keep it where the origin is known, and sending needs no look-up.
    pub fn origin(&self, origin: &Origin) -> Arc<OriginPool> {
        self.tend();
        let mut origins = self.shared.origins.lock();
        if let Some(found) = origins.get(origin) {
            return Arc::clone(found);
        }
        let made = Arc::new(OriginPool::new(origin.clone(), self.shared.config, Arc::clone(&self.shared.connector)));
        origins.insert(origin.clone(), Arc::clone(&made));
        made
    }

    /// Sends a request; see [`OriginPool::send`].
    ///
    /// # Errors
    /// As [`OriginPool::send`].
    pub async fn send(&self, origin: &Origin, request: Request<Full<Bytes>>) -> Result<Response<PoolBody>, SendError> {
        self.origin(origin).send(request).await
    }

    /// How many HTTP/1.1 connections wait for a request, at all origins.
    pub fn idle(&self) -> usize {
        self.shared.origins.lock().values().map(|origin| origin.idle()).sum()
    }

    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.shared.connector
    }

    /// Starts the one task that closes what has idled too long, at the first use inside a runtime.
    fn tend(&self) {
        if self.shared.tended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.shared.tended.swap(true, Ordering::Relaxed) {
            runtime.spawn(sweep_now_and_then(Arc::downgrade(&self.shared), self.shared.config.idle_timeout));
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

async fn sweep_now_and_then(shared: Weak<Shared>, idle_timeout: Duration) {
    let pause = (idle_timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(15));
    loop {
        tokio::time::sleep(pause).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut origins = shared.origins.lock();
        for stack in origins.values().flat_map(|origin| &origin.stacks) {
            stack.sweep();
        }
        // Nobody else holds it and nothing is kept in it.
        origins.retain(|_, origin| Arc::strong_count(origin) > 1 || origin.idle() > 0 || origin.h2.alive());
    }
}

/// The connections to one origin.
pub struct OriginPool {
    origin: Origin,
    /// The value of the header `host`.
    host: Option<HeaderValue>,
    connector: Arc<Connector>,
    /// One for each core, and the first for all other threads.
    stacks: Vec<Arc<h1::Stack>>,
    h2: h2::Shared,
}

impl OriginPool {
    fn new(origin: Origin, config: PoolConfig, connector: Arc<Connector>) -> Self {
        let host = HeaderValue::from_str(&origin.authority()).ok();
        Self { origin, host, connector, stacks: h1::Stack::for_cores(config), h2: h2::Shared::default() }
    }

    fn idle(&self) -> usize {
        self.stacks.iter().map(|stack| stack.idle()).sum()
    }

    /// Which origin this is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends a request and gives its answer as soon as the head is there. Only path and query of the URI count; `host`
    /// is set unless the request has it.
    ///
    /// # Errors
    /// [`SendError`] with the stage: up to [`Stage::Tls`] nothing has left, so another instance may be asked; from
    /// [`Stage::Request`] on the origin may have acted.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<PoolBody>, SendError> {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        if self.origin.h2 {
            self.absolute(&mut request, path)?;
            let answer = self.h2.send(&self.connector, &self.origin, request).await?;
            return Ok(answer.map(|incoming| PoolBody { inner: Inner::H2(incoming) }));
        }
        if request.uri().authority().is_some() {
            *request.uri_mut() = Uri::from(path);
        }
        if let (false, Some(host)) = (request.headers().contains_key(HOST), &self.host) {
            request.headers_mut().insert(HOST, host.clone());
        }
        *request.version_mut() = Version::HTTP_11;
        let here = cores::here() % self.stacks.len().max(1);
        let answer = h1::send(&self.stacks, here, &self.connector, &self.origin, request).await?;
        Ok(answer.map(PoolBody::inline))
    }

    fn absolute(&self, request: &mut Request<Full<Bytes>>, path: PathAndQuery) -> Result<(), SendError> {
        let scheme = if self.origin.secure { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(self.origin.authority()).path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|error| SendError::new(Stage::Connect, error))?;
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(HOST);
        Ok(())
    }
}

impl std::fmt::Debug for OriginPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginPool").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The body of an answer. Read to its end, it gives the connection back; dropped before, it closes it.
#[derive(Debug)]
pub struct PoolBody {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    H1(h1::InlineBody),
    H2(hyper::body::Incoming),
}

impl PoolBody {
    pub(crate) fn inline(body: h1::InlineBody) -> Self {
        Self { inner: Inner::H1(body) }
    }
}

impl Body for PoolBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        match &mut self.get_mut().inner {
            Inner::H1(body) => body.poll_frame(cx),
            Inner::H2(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| SendError::new(Stage::Body, error::all(&error))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::H1(body) => body.is_end_stream(),
            Inner::H2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::H1(body) => body.size_hint(),
            Inner::H2(incoming) => incoming.size_hint(),
        }
    }
}
