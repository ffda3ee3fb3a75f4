//! MQTT 5: an event to `TOPIC/approval`, and the number of open questions, retained, to `TOPIC/open`, for home hubs and lamps.
//!
//! - One connection for each message: CONNECT, PUBLISH at QoS 1, its PUBACK, DISCONNECT. Questions are rare, and a connection that
//!   is not kept needs no keep-alive and cannot be stale. The client has no name of its own, so that no other client is thrown off.
//! - It subscribes to nothing: nothing that anybody publishes is read, so nothing can be answered this way.

mod packets;

use std::sync::Arc;

use moongate_core::approval::State;
use moongate_core::seam::notifier::{Notice, Notifier};
use moongate_core::seam::{Clock, Later};
use moongate_core::{Code, Problem};
use moongate_transport::{Origin, Pool, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http::not_told;
use super::webhook::event;
use super::words::Place;
use packets::{Answer, Publish};

/// Bytes of a broker's packet that are read. All that is expected of it is a few reason codes.
const PACKET: usize = 4096;

/// Topics of a broker.
pub struct Mqtt {
    /// Connects.
    pub pool: Pool,
    /// Says how long an event is news.
    pub clock: Arc<dyn Clock>,
    /// The broker.
    pub broker: Origin,
    /// Name and password there, if it wants them.
    pub login: Option<(String, String)>,
    /// What the topics begin with.
    pub topic: String,
    /// Where the pages are.
    pub place: Place,
}

impl Notifier for Mqtt {
    fn follows(&self) -> bool {
        true
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> Later<'a, Result<(), Problem>> {
        Box::pin(async move {
            let (topic, payload) = (format!("{}/approval", self.topic), event(notice, &self.place).to_string());
            let left = match notice.state {
                State::Pending => notice.expires_at.since(self.clock.now()).as_secs(),
                _ => super::owed::AFTERWARDS.as_secs(),
            };
            let expires = Some(u32::try_from(left.max(1)).unwrap_or(u32::MAX));
            self.publish(&Publish { topic: &topic, payload: payload.as_bytes(), retain: false, expires }).await
        })
    }

    fn count(&self, open: usize) -> Later<'_, Result<(), Problem>> {
        Box::pin(async move {
            let (topic, payload) = (format!("{}/open", self.topic), open.to_string());
            self.publish(&Publish { topic: &topic, payload: payload.as_bytes(), retain: true, expires: None }).await
        })
    }
}

impl Mqtt {
    async fn publish(&self, message: &Publish<'_>) -> Result<(), Problem> {
        let mut stream = Stream::open(&self.pool, &self.broker).await.map_err(not_told)?;
        let login = self.login.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
        send(&mut stream, &packets::connect(login)).await?;
        match receive(&mut stream).await? {
            Answer::Connected(0) => {}
            Answer::Connected(code) => return Err(refused("refuses the connection", code)),
            Answer::Taken(_) | Answer::Left(_) | Answer::Other => return Err(odd("no MQTT 5 is spoken")),
        }
        send(&mut stream, &packets::publish(message)).await?;
        let taken = match receive(&mut stream).await? {
            // 16: nobody has subscribed to it, which is the operator's affair.
            Answer::Taken(0 | 16) => Ok(()),
            Answer::Taken(code) => Err(refused("refuses the message", code)),
            Answer::Left(code) => Err(refused("closes the connection", code)),
            Answer::Connected(_) | Answer::Other => Err(odd("something else is answered")),
        };
        // It has been taken; what becomes of the connection changes nothing.
        let _ = send(&mut stream, &packets::DISCONNECT).await;
        let _ = stream.shutdown().await;
        taken
    }
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), Problem> {
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    written.await.map_err(|error| broken(&error))
}

/// One packet, whole.
async fn receive(stream: &mut Stream) -> Result<Answer, Problem> {
    let first = stream.read_u8().await.map_err(|error| broken(&error))?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await.map_err(|error| broken(&error))?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 21 {
            return Err(odd("no length of MQTT"));
        }
    }
    if length > PACKET {
        return Err(odd("a packet that is far too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await.map_err(|error| broken(&error))?;
    Ok(packets::answer(first, &rest))
}

fn broken(error: &std::io::Error) -> Problem {
    Problem::new(Code::NotTold, "the broker breaks off").inside(error)
}

fn odd(why: &'static str) -> Problem {
    Problem::new(Code::NotTold, "the broker says what it should not").inside(why)
}

fn refused(what: &str, code: u8) -> Problem {
    Problem::new(Code::NotTold, format!("the broker {what}: {}", packets::reason(code)))
}
