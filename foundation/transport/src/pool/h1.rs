//! HTTP/1.1 exchanges without a task for the connection.
//!
//! hyper splits a connection into a sender and a driver that talk over channels. Both stay together here, in one box:
//!
//! 1. check-out: the warmest idle connection is driven once, which shows whether the peer has closed it;
//! 2. exchange: the waiting task drives it and looks at the sender's answer after each step;
//! 3. body: the same, frame by frame; the peer sends no faster than the frames are taken;
//! 4. check-in: when the body has ended and the sender wants a request again.
//!
//! The channels are polled with a waker that does nothing, because whatever moves them happens in step with the driver,
//! in this very task; only the driver, which owns the socket, gets one that leads to the task (`Relay`). They are polled
//! outside Tokio's cooperative budget: a channel that says "later" for want of budget would wake nobody.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};

use super::error::all;
use super::gate::{Gate, Pass};
use super::relay::Relay;
use super::{PoolConfig, SendError, Stage};
use crate::connect::Connector;
use crate::origin::Origin;
use crate::socket::Socket;

/// Bytes of an answer's head.
const HEADER_BYTES: usize = 64 * 1024;

/// One connection, both halves.
pub(crate) struct Live {
    sender: SendRequest<Full<Bytes>>,
    driver: Connection<TokioIo<Socket>, Full<Bytes>>,
    relay: Arc<Relay>,
    /// The relay, as the driver knows it.
    waker: Waker,
    idle_since: Instant,
    _pass: Option<Pass>,
}

impl Live {
    pub(crate) async fn open(socket: Socket, pass: Option<Pass>) -> Result<Box<Self>, SendError> {
        let mut builder = Builder::new();
        builder.max_header_size(HEADER_BYTES);
        let (sender, driver) =
            builder.handshake(TokioIo::new(socket)).await.map_err(|error| SendError::new(Stage::Connect, error))?;
        let relay = Arc::new(Relay::default());
        let waker = Waker::from(Arc::clone(&relay));
        Ok(Box::new(Self { sender, driver, relay, waker, idle_since: Instant::now(), _pass: pass }))
    }

    /// Drives the connection once, waking nobody later; whether it takes a request now.
    fn ready(&mut self) -> bool {
        self.relay.lead_nowhere();
        let mut cx = Context::from_waker(&self.waker);
        let driven = pin!(unconstrained(&mut self.driver)).poll(&mut cx);
        driven.is_pending() && self.sender.is_ready()
    }
}

/// Drives a connection for a task.
fn drive(
    driver: &mut Connection<TokioIo<Socket>, Full<Bytes>>,
    relay: &Relay,
    waker: &Waker,
    task: &Context<'_>,
) -> Poll<hyper::Result<()>> {
    relay.lead_to(task.waker());
    Pin::new(driver).poll(&mut Context::from_waker(waker))
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("idle_since", &self.idle_since).finish_non_exhaustive()
    }
}

/// The connections to one origin that one core keeps.
#[derive(Debug)]
pub(crate) struct Stack {
    config: PoolConfig,
    /// Counts the origin's connections, whichever core keeps them.
    gate: Arc<Gate>,
    /// The coldest in front.
    kept: Mutex<VecDeque<Box<Live>>>,
}

enum Place {
    Kept(Box<Live>),
    Fresh(Pass),
}

impl Stack {
    /// A stack for each core, and one before them for all other threads.
    pub(crate) fn for_cores(config: PoolConfig) -> Vec<Arc<Self>> {
        let gate = Arc::new(Gate::default());
        let stack = |_| Arc::new(Self { config, gate: gate.clone(), kept: Mutex::new(VecDeque::new()) });
        (0..=config.cores).map(stack).collect()
    }

    pub(crate) fn idle(&self) -> usize {
        self.kept.lock().len()
    }

    /// Closes what has idled too long.
    pub(crate) fn sweep(&self) {
        let mut kept = self.kept.lock();
        let still_warm = kept.iter().position(|live| live.idle_since.elapsed() < self.config.idle_timeout);
        let end = still_warm.unwrap_or(kept.len());
        let cold: Vec<_> = kept.drain(..end).collect();
        drop(kept);
        drop(cold);
    }

    fn check_out(&self) -> Option<Box<Live>> {
        loop {
            let mut live = self.kept.lock().pop_back()?;
            if live.idle_since.elapsed() < self.config.idle_timeout && live.ready() {
                return Some(live);
            }
        }
    }

    fn check_in(&self, mut live: Box<Live>) {
        // Usually the driver has already come to rest by reading the end of the answer.
        if !live.sender.is_ready() && !live.ready() {
            return;
        }
        live.relay.lead_nowhere();
        live.idle_since = Instant::now();
        let mut kept = self.kept.lock();
        kept.push_back(live);
        let coldest = if kept.len() > self.config.idle_per_origin { kept.pop_front() } else { None };
        drop(kept);
        drop(coldest);
        self.gate.tell();
    }
}

/// Sends a request on a connection that this core keeps, or on a fresh one, which it will keep.
pub(crate) async fn send(
    stacks: &[Arc<Stack>],
    here: usize,
    connector: &Connector,
    origin: &Origin,
    request: Request<Full<Bytes>>,
) -> Result<Response<InlineBody>, SendError> {
    let Some(own) = stacks.get(here) else { return Err(SendError::new(Stage::Connect, "no core")) };
    let request = match own.check_out() {
        Some(live) => match exchange(live, request, Some(own)).await {
            Ok(answer) => return Ok(answer),
            Err(Failed::Unsent(request, _)) => *request,
            Err(Failed::Sent(error)) => return Err(error),
        },
        None => request,
    };
    let live = match place(own, stacks, connector).await? {
        Place::Kept(live) => live,
        Place::Fresh(pass) => Live::open(connector.connect(origin).await?, Some(pass)).await?,
    };
    exchange(live, request, Some(own)).await.map_err(|failed| match failed {
        Failed::Unsent(_, reason) => SendError::new(Stage::Connect, reason),
        Failed::Sent(error) => error,
    })
}

/// A place for a fresh connection; where all are taken, whatever comes free first, on whichever core.
async fn place(own: &Stack, stacks: &[Arc<Stack>], connector: &Connector) -> Result<Place, SendError> {
    let most = own.config.max_per_origin;
    let fresh = || own.gate.enter(most).map(Place::Fresh);
    if let Some(place) = fresh() {
        return Ok(place);
    }
    let kept = || stacks.iter().find_map(|stack| stack.check_out()).map(Place::Kept);
    let free = own.gate.wait_for(|| kept().or_else(fresh));
    timeout(connector.limit(), free)
        .await
        .map_err(|_| SendError::new(Stage::Connect, format!("all {most} connections are busy")))
}

/// Why an exchange failed.
pub(crate) enum Failed {
    /// Before a byte was written; the request is whole.
    Unsent(Box<Request<Full<Bytes>>>, String),
    /// Later.
    Sent(SendError),
}

/// Sends one request on a connection and waits for the head of its answer, driving the connection meanwhile.
pub(crate) async fn exchange(
    mut live: Box<Live>,
    request: Request<Full<Bytes>>,
    home: Option<&Arc<Stack>>,
) -> Result<Response<InlineBody>, Failed> {
    let mut answer = pin!(unconstrained(live.sender.try_send_request(request)));
    let Live { driver, relay, waker, .. } = live.as_mut();
    let mut ended: Option<Option<String>> = None;
    let result = poll_fn(|cx| {
        if ended.is_none()
            && let Poll::Ready(end) = drive(driver, relay, waker, cx)
        {
            ended = Some(end.err().map(|error| all(&error)));
        }
        let mut quiet = Context::from_waker(Waker::noop());
        match (answer.as_mut().poll(&mut quiet), &ended) {
            (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(|mut error| match error.take_message() {
                Some(request) => Failed::Unsent(Box::new(request), all(error.error())),
                None => Failed::Sent(SendError::new(Stage::Request, all(error.error()))),
            })),
            (Poll::Pending, None) => Poll::Pending,
            (Poll::Pending, Some(reason)) => Poll::Ready(Err(Failed::Sent(SendError::new(
                Stage::Request,
                reason.as_deref().unwrap_or("the connection closed before the answer"),
            )))),
        }
    })
    .await?;
    let live = if ended.is_none() { Some(live) } else { None };
    Ok(result.map(|incoming| InlineBody::new(incoming, live, home.map(Arc::clone))))
}

/// The body of an answer, which drives its connection while it is read.
#[derive(Debug)]
pub(crate) struct InlineBody {
    incoming: Incoming,
    /// `None` once the connection has ended or gone home.
    live: Option<Box<Live>>,
    home: Option<Arc<Stack>>,
    /// What the driver ended with.
    reason: Option<String>,
}

impl InlineBody {
    fn new(incoming: Incoming, live: Option<Box<Live>>, home: Option<Arc<Stack>>) -> Self {
        let mut body = Self { incoming, live, home, reason: None };
        if body.incoming.is_end_stream() {
            body.go_home();
        }
        body
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        if let Poll::Ready(frame) = self.look() {
            return Poll::Ready(frame);
        }
        loop {
            let Some(live) = &mut self.live else {
                return Poll::Ready(Some(Err(self.broken("the connection has gone"))));
            };
            if let Poll::Ready(end) = drive(&mut live.driver, &live.relay, &live.waker, cx) {
                self.reason = end.err().map(|error| all(&error));
                // Tells the channel that nothing more will come.
                self.live = None;
            }
            match self.look() {
                // The socket had news in between.
                Poll::Pending if self.live.as_ref().is_none_or(|live| live.relay.missed()) => {}
                looked => return looked,
            }
        }
    }

    /// What the channel has at present.
    fn look(&mut self) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let mut quiet = Context::from_waker(Waker::noop());
        let incoming = Pin::new(&mut self.incoming);
        let looked = match &self.live {
            Some(live) => live.relay.hush(|| incoming.poll_frame(&mut quiet)),
            None => incoming.poll_frame(&mut quiet),
        };
        match looked {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                if self.incoming.is_end_stream() {
                    self.go_home();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.live = None;
                Poll::Ready(Some(Err(self.broken(&all(&error)))))
            }
            Poll::Ready(None) => {
                self.go_home();
                Poll::Ready(None)
            }
        }
    }

    fn go_home(&mut self) {
        if let (Some(live), Some(home)) = (self.live.take(), self.home.take()) {
            home.check_in(live);
        }
    }

    fn broken(&mut self, what: &str) -> SendError {
        SendError::new(Stage::Body, self.reason.take().as_deref().unwrap_or(what))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
