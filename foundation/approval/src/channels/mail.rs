//! Mail: a subject, a line and a link, over a connection that is under TLS from its first byte (RFC 8314).
//!
//! Subject and body are the only text that is not the operator's, and they are made of names in which whatever is invisible is
//! written out ([`super::words`]); the library encodes what is not ASCII. So no name can begin a header or end the message.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use moongate_core::seam::notifier::{Notice, Notifier};
use moongate_core::seam::{Clock, Later};
use moongate_core::{Code, Problem, Time};
use moongate_transport::{Origin, Pool, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http::not_told;
use super::words::{Place, line, title};

/// Letters to people, by a mail server.
pub struct Mail {
    /// Connects.
    pub pool: Pool,
    /// Dates letters.
    pub clock: Arc<dyn Clock>,
    /// The mail server.
    pub server: Origin,
    /// Name and password there, if it wants them.
    pub login: Option<(String, String)>,
    /// Who writes.
    pub from: Address,
    /// To whom.
    pub to: Vec<Address>,
    /// Where the pages are.
    pub place: Place,
}

impl Notifier for Mail {
    fn tell<'a>(&'a self, notice: &'a Notice) -> Later<'a, Result<(), Problem>> {
        Box::pin(async move {
            let letter = letter(notice, (&self.from, &self.to), &self.place, self.clock.now())?;
            let stream = Stream::open(&self.pool, &self.server).await.map_err(not_told)?;
            self.deliver(stream, &letter).await.map_err(refused)
        })
    }
}

impl Mail {
    async fn deliver(&self, stream: Stream, letter: &Message) -> Result<(), smtp::Error> {
        let hello = ClientId::Domain(self.from.domain().to_owned());
        let mut server = AsyncSmtpConnection::connect_with_transport(Box::new(Wire(stream)), &hello).await?;
        if let Some((name, password)) = &self.login {
            let credentials = Credentials::new(name.clone(), password.clone());
            server.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        server.send(letter.envelope(), &letter.formatted()).await?;
        // It has been taken; a server that does not say goodbye changes nothing.
        let _ = server.quit().await;
        Ok(())
    }
}

fn letter(notice: &Notice, (from, to): (&Address, &[Address]), place: &Place, now: Time) -> Result<Message, Problem> {
    // The same at each repetition, so that mailboxes may show it once.
    let id = format!("<{}.{}@{}>", notice.id, notice.state.as_str(), from.domain());
    let letter = Message::builder()
        .from(Mailbox::new(Some("Moongate".to_owned()), from.clone()))
        .subject(title(notice))
        .message_id(Some(id))
        .date(UNIX_EPOCH + Duration::from_millis(now.0))
        // RFC 3834: holiday notes do not answer.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN);
    let letter = to.iter().fold(letter, |letter, to| letter.to(Mailbox::new(None, to.clone())));
    let link = place.link(notice).map(|link| format!("\r\n\r\n{link}")).unwrap_or_default();
    let body = format!("{}\r\n\r\n{}{link}\r\n", title(notice), line(notice, place, now));
    letter.body(body).map_err(|error| Problem::new(Code::Internal, "no letter can be written").inside(error))
}

fn refused(error: smtp::Error) -> Problem {
    let detail = match error.status() {
        Some(code) => format!("the mail server answers {code}"),
        None if error.is_client() => "the mail server cannot do what is wanted of it".to_owned(),
        None => "the mail server breaks off".to_owned(),
    };
    Problem::new(Code::NotTold, detail).inside(error)
}

/// A stream as the library takes it.
#[derive(Debug)]
struct Wire(Stream);

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::words::tests::notice;

    #[test]
    fn no_name_begins_a_header_or_ends_a_letter() {
        let sly = "open\r\nBcc: evil@example.com\r\n\r\n.\r\nMAIL FROM:<evil@example.com>\u{2028}Tür";
        let notice = Notice { skill: Some(sly.into()), ..notice() };
        let from: Address = "gate@home.example".parse().unwrap();
        let to = ["ann@home.example", "bob@home.example"].map(|to| to.parse().unwrap());
        let letter = letter(&notice, (&from, &to), &Place(Some("https://gate.example".to_owned())), Time(0)).unwrap();
        let text = String::from_utf8(letter.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut names: Vec<&str> =
            head.lines().filter(|line| !line.starts_with(' ')).map(|line| line.split_once(": ").unwrap().0).collect();
        names.sort_unstable();
        let own = [
            "Auto-Submitted",
            "Content-Transfer-Encoding",
            "Content-Type",
            "Date",
            "From",
            "MIME-Version",
            "Message-ID",
            "Subject",
            "To",
        ];
        assert_eq!(names, own, "{head}");
        assert!(text.is_ascii() && body.lines().all(|line| line != "." && !line.starts_with("MAIL")), "{body}");
        assert!(head.contains("<5f0c.pending@home.example>") && head.contains("ann@home.example, bob@home.example"));
        let to: Vec<String> = letter.envelope().to().iter().map(ToString::to_string).collect();
        assert_eq!(to, ["ann@home.example", "bob@home.example"]);
    }
}
