//! A webhook on a free port of 127.0.0.1 that keeps what was posted to it. Reads one request a connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// One delivery: path, the header block in lower case, the body.
#[derive(Clone, Debug)]
pub struct Post {
    pub path: String,
    pub head: String,
    pub body: Value,
}

#[derive(Default)]
struct Shelf {
    posts: Mutex<Vec<Post>>,
    arrived: Notify,
}

/// The listening webhook.
pub struct Receiver {
    port: u16,
    shelf: Arc<Shelf>,
}

impl Receiver {
    pub async fn start() -> Result<Receiver, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let shelf = Arc::new(Shelf::default());
        let shared = shelf.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shelf = shared.clone();
                tokio::spawn(async move {
                    if let Some(post) = read(stream).await {
                        shelf.posts.lock().expect("no holder panics").push(post);
                        shelf.arrived.notify_waiters();
                    }
                });
            }
        });
        Ok(Receiver { port, shelf })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The first delivery at `path` in which a task has `state`.
    pub async fn wait(&self, path: &str, state: &str) -> Result<Post, String> {
        let looking = async {
            loop {
                let arrived = self.shelf.arrived.notified();
                if let Some(post) = self.find(path, state) {
                    return post;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), looking)
            .await
            .map_err(|_| format!("no delivery of {state} at {path} within 10 s; got {:?}", self.at(path)))
    }

    fn at(&self, path: &str) -> Vec<Post> {
        let posts = self.shelf.posts.lock().expect("no holder panics");
        posts.iter().filter(|post| post.path == path).cloned().collect()
    }

    fn find(&self, path: &str, state: &str) -> Option<Post> {
        self.at(path).into_iter().find(|post| {
            ["/task/status/state", "/statusUpdate/status/state"]
                .iter()
                .any(|pointer| post.body.pointer(pointer).and_then(Value::as_str) == Some(state))
        })
    }
}

async fn read(mut stream: TcpStream) -> Option<Post> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            })?;
            if bytes.len() >= end + 4 + length {
                let path = head.split(' ').nth(1)?.to_owned();
                let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).ok()?;
                stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.ok()?;
                return Some(Post { path, head: head.to_ascii_lowercase(), body });
            }
        }
        match stream.read(&mut chunk).await.ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
