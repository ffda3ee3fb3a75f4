//! A mail server that takes every letter and remembers it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::soon;

/// One letter.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// What was said after AUTH.
    pub login: Option<String>,
    /// Whom it is from, as the server was told.
    pub from: String,
    /// Whom it is for, as the server was told.
    pub to: Vec<String>,
    /// Headers and body.
    pub text: String,
}

/// A running server; ends when dropped.
pub struct Mailbox {
    /// Where it listens.
    pub address: SocketAddr,
    got: watch::Receiver<Vec<Letter>>,
    server: JoinHandle<()>,
}

impl Mailbox {
    /// Starts one that answers to the end of the first letters with these lines, and takes all others.
    pub async fn answering(lines: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, got) = watch::channel(Vec::new());
        let lines = Arc::new(Mutex::new(lines.iter().map(|line| (*line).to_owned()).collect::<VecDeque<_>>()));
        let server = tokio::spawn(async move {
            let told = Arc::new(told);
            while let Ok((stream, _)) = listener.accept().await {
                let (told, lines) = (told.clone(), lines.clone());
                tokio::spawn(async move { converse(stream, &told, &lines).await });
            }
        });
        Self { address, got, server }
    }

    /// Waits until what was taken satisfies the test, and returns it.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Letter]) -> bool) -> Vec<Letter> {
        let mut got = self.got.clone();
        soon(what, got.wait_for(|all| enough(all))).await.unwrap().clone()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn converse(stream: TcpStream, told: &watch::Sender<Vec<Letter>>, answers: &Mutex<VecDeque<String>>) {
    let mut stream = BufReader::new(stream);
    let mut letter = Letter::default();
    let mut say = "220 mailbox".to_owned();
    loop {
        stream.get_mut().write_all(format!("{say}\r\n").as_bytes()).await.unwrap();
        let Some(line) = read(&mut stream).await else { return };
        let (verb, rest) = line.split_at(line.len().min(4));
        let inside = || rest.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        say = match verb {
            "EHLO" => "250-mailbox\r\n250 AUTH PLAIN LOGIN".to_owned(),
            "AUTH" => {
                letter.login = Some(rest.trim().to_owned());
                "235 welcome".to_owned()
            }
            "MAIL" => {
                letter.from = inside();
                "250 yes".to_owned()
            }
            "RCPT" => {
                letter.to.push(inside());
                "250 yes".to_owned()
            }
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n").await.unwrap();
                while let Some(line) = read(&mut stream).await.filter(|line| line != ".") {
                    letter.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    letter.text.push_str("\r\n");
                }
                let answer = answers.lock().unwrap().pop_front();
                let taken = std::mem::take(&mut letter);
                if answer.is_none() {
                    told.send_modify(|all| all.push(taken));
                }
                answer.unwrap_or_else(|| "250 taken".to_owned())
            }
            _ => "221 goodbye".to_owned(),
        };
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let length = stream.read_line(&mut line).await.ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
