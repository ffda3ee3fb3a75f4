//! HTTP/2: one connection for all requests to an origin.
//!
//! Those who come while it is being opened wait for that one opening. A request that the connection gave back unsent
//! (it was closing) goes out once more on a fresh one.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;

use super::error::all;
use super::{SendError, Stage};
use crate::connect::Connector;
use crate::origin::Origin;

const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const HEADER_LIST: u32 = 64 * 1024;
const PING: Duration = Duration::from_secs(20);

type Sender = SendRequest<Full<Bytes>>;

/// The shared connection of one origin.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    current: Mutex<Option<Sender>>,
    opening: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn alive(&self) -> bool {
        self.usable().is_some()
    }

    pub(crate) async fn send(
        &self,
        connector: &Connector,
        origin: &Origin,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut again = true;
        let mut request = request;
        loop {
            let mut sender = self.sender(connector, origin).await?;
            let mut failed = match sender.try_send_request(request).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            match failed.take_message() {
                Some(unsent) if again => {
                    again = false;
                    request = unsent;
                    *self.current.lock() = None;
                }
                Some(_) => return Err(SendError::new(Stage::Connect, all(failed.error()))),
                None => return Err(SendError::new(Stage::Request, all(failed.error()))),
            }
        }
    }

    fn usable(&self) -> Option<Sender> {
        self.current.lock().as_ref().filter(|sender| !sender.is_closed()).cloned()
    }

    async fn sender(&self, connector: &Connector, origin: &Origin) -> Result<Sender, SendError> {
        if let Some(sender) = self.usable() {
            return Ok(sender);
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(sender) = self.usable() {
            return Ok(sender);
        }
        let socket = connector.connect(origin).await?;
        let (sender, driver) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| SendError::new(Stage::Connect, all(&error)))?;
        let name = origin.to_string();
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(origin = %name, %error, "HTTP/2 connection ended");
            }
        });
        *self.current.lock() = Some(sender.clone());
        Ok(sender)
    }
}
