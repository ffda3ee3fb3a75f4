//! A broker that speaks as much MQTT 5 as publishing takes, and remembers what was published. Real brokers are in the grid.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::soon;

/// One message.
#[derive(Clone, Debug)]
pub struct Published {
    /// The CONNECT packet's bytes after its length.
    pub connect: Vec<u8>,
    /// The topic.
    pub topic: String,
    /// Whether it is kept.
    pub retain: bool,
    /// What it says.
    pub payload: String,
}

/// A running broker; ends when dropped.
pub struct Broker {
    /// Where it listens.
    pub address: SocketAddr,
    got: watch::Receiver<Vec<Published>>,
    server: JoinHandle<()>,
}

impl Broker {
    /// Starts one that answers the first messages with these reason codes, and takes all others.
    pub async fn answering(codes: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, got) = watch::channel(Vec::new());
        let codes = Arc::new(Mutex::new(codes.iter().copied().collect::<VecDeque<_>>()));
        let server = tokio::spawn(async move {
            let told = Arc::new(told);
            while let Ok((stream, _)) = listener.accept().await {
                let (told, codes) = (told.clone(), codes.clone());
                tokio::spawn(async move { converse(stream, &told, &codes).await });
            }
        });
        Self { address, got, server }
    }

    /// Waits until what was published satisfies the test, and returns it.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Published]) -> bool) -> Vec<Published> {
        let mut got = self.got.clone();
        soon(what, got.wait_for(|all| enough(all))).await.unwrap().clone()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn converse(mut stream: TcpStream, told: &watch::Sender<Vec<Published>>, codes: &Mutex<VecDeque<u8>>) {
    let Some((0x10, connect)) = read(&mut stream).await else { return };
    stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
    while let Some((first, packet)) = read(&mut stream).await {
        if first & 0xf0 != 0x30 {
            return;
        }
        let name = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
        let topic = String::from_utf8(packet[2..2 + name].to_vec()).unwrap();
        let number = [packet[2 + name], packet[3 + name]];
        let properties = usize::from(packet[4 + name]);
        let payload = String::from_utf8(packet[5 + name + properties..].to_vec()).unwrap();
        let code = codes.lock().unwrap().pop_front().unwrap_or(0);
        stream.write_all(&[0x40, 3, number[0], number[1], code]).await.unwrap();
        if code == 0 {
            let one = Published { connect: connect.clone(), topic, retain: first & 1 == 1, payload };
            told.send_modify(|all| all.push(one));
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await.ok()?;
    Some((first, rest))
}
