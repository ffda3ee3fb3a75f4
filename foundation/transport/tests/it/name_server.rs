//! Names to addresses by a DNS server: a few lines here play it, byte by byte.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moongate_transport::{NameServer, Resolve};
use tokio::net::UdpSocket;

use crate::support::soon;

/// Knows `agent.test`, at 192.0.2.7 and for no time at all, and nothing else; counts questions for IPv4 addresses.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counts = asked.clone();
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, caller)) = socket.recv_from(&mut question).await {
            // The header has twelve bytes; the name ends with a zero, its type and class follow.
            let end = 12 + question[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
            let known = question[12..end].to_ascii_lowercase().starts_with(b"\x05agent\x04test\0");
            let four = question[end - 3] == 1;
            counts.fetch_add(usize::from(four), Ordering::SeqCst);
            let found = u8::from(known && four);
            let mut answer = question[..2].to_vec();
            answer.extend([0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, found, 0, 0, 0, 0]);
            answer.extend(&question[12..end]);
            if found == 1 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 7]);
            }
            socket.send_to(&answer, caller).await.unwrap();
        }
    });
    (address, asked)
}

async fn found(names: &NameServer, host: &str) -> io::Result<Vec<SocketAddr>> {
    soon(names.resolve(host.to_owned(), 8443)).await
}

#[tokio::test]
async fn a_name_is_asked_of_the_server_each_time_that_its_answer_has_aged() {
    let (address, asked) = server().await;
    let names = NameServer::new(address).unwrap();
    for host in ["agent.test", "agent.test.", "AGENT.test"] {
        assert_eq!(found(&names, host).await.unwrap(), ["192.0.2.7:8443".parse().unwrap()], "{host}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3, "an answer for no time is not kept");
}

#[tokio::test]
async fn a_name_that_is_not_there_is_no_address_and_the_server_is_named() {
    let (address, _) = server().await;
    let error = found(&NameServer::new(address).unwrap(), "nobody.test").await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn this_machine_is_not_asked_for() {
    let (address, asked) = server().await;
    let found = found(&NameServer::new(address).unwrap(), "localhost").await.unwrap();
    assert!(!found.is_empty() && found.iter().all(|one| one.ip().is_loopback()), "{found:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
