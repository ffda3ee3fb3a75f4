//! One connection: sends a request, reads the answer.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::call::{Call, Expect, Protocol};
use super::check::Reading;
use crate::fault::Fault;

/// A connection and the request that it repeats.
pub(super) struct Link {
    sender: Sender,
    prototype: Request<()>,
    streams: bool,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Link {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr, call: &Call) -> Result<Self, Fault> {
        let failed = |error: &dyn std::fmt::Display| Fault::new("connect", format!("{address}: {error}"));
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let io = TokioIo::new(stream);
        // The connections report how they ended to the requests on them; nobody else asks.
        let sender = match call.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await.map_err(|error| failed(&error))?;
                tokio::spawn(async move { drop(connection.await) });
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.map_err(|error| failed(&error))?;
                tokio::spawn(async move { drop(connection.await) });
                Sender::Http2(sender)
            }
        };
        let prototype = prototype(address, call).map_err(|error| failed(&error))?;
        Ok(Self { sender, prototype, streams: matches!(call.expect, Expect::Events(_)) })
    }

    /// Whether the server has closed the connection, as it may between two requests.
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends a body and reads the whole answer.
    pub(super) async fn exchange(&mut self, body: Bytes, reading: &mut Reading) -> Result<(), hyper::Error> {
        reading.clear();
        let request = self.prototype.clone().map(|()| Full::new(body));
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        self.read(response, reading).await
    }

    async fn read(&self, response: Response<Incoming>, reading: &mut Reading) -> Result<(), hyper::Error> {
        let (head, mut body) = response.into_parts();
        reading.status = head.status.as_u16();
        reading.grpc_status = grpc_status(&head.headers);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    reading.body.extend_from_slice(&data);
                    if self.streams {
                        reading.events.feed(&data);
                        if reading.first_event.is_none() && reading.events.count > 0 {
                            reading.first_event = Some(Instant::now());
                        }
                    }
                }
                Err(frame) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        reading.grpc_status = grpc_status(trailers).or(reading.grpc_status);
                    }
                }
            }
        }
        Ok(())
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn prototype(address: SocketAddr, call: &Call) -> Result<Request<()>, http::Error> {
    let uri = match call.protocol {
        Protocol::Http1 => call.path.clone(),
        Protocol::Http2 => format!("http://{address}{}", call.path),
    };
    let mut request = Request::builder().method(call.method.clone()).uri(uri).body(())?;
    *request.headers_mut() = call.headers.clone();
    if call.protocol == Protocol::Http1 {
        request.headers_mut().insert(HOST, HeaderValue::from_str(&address.to_string())?);
    }
    Ok(request)
}
