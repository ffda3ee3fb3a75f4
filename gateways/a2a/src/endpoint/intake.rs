//! Bodies of requests, read whole: how much one may have, and how much all of them together.
//!
//! What a body has beyond [`FREE`] counts from when it comes until its request is answered. All bodies together may have
//! [`BODIES`] times the limit of one, and those of one caller of another machine a part of that. Whoever would have more is
//! told to come later; small requests always find room.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use moongate_core::{Code, Principal, Problem, Proof, Retry};
use parking_lot::Mutex;

/// So many bytes of a body are not counted.
const FREE: usize = 64 * 1024;
/// So many bodies of the largest size may be on their way at once.
const BODIES: usize = 16;
/// One caller of another machine may have this part of it.
const SHARE: usize = 4;
/// The time for a body to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What bodies hold at the moment.
#[derive(Debug, Default)]
pub(super) struct Intake {
    all: AtomicUsize,
    of_callers: Mutex<HashMap<Arc<str>, usize>>,
}

/// What one body holds, until this is dropped.
#[derive(Debug)]
pub(super) struct Hold<'a> {
    intake: &'a Intake,
    /// Whose it is, if that is counted.
    who: Option<Arc<str>>,
    /// The largest body.
    limit: usize,
    seen: usize,
    counted: usize,
}

impl Intake {
    /// A hold for a body of this caller that has not begun.
    pub(super) fn hold(&self, who: &Principal, limit: usize) -> Hold<'_> {
        let who = (who.proof != Proof::Loopback).then(|| who.id.clone());
        Hold { intake: self, who, limit, seen: 0, counted: 0 }
    }
}

impl Hold<'_> {
    /// More of the body has come.
    fn grow(&mut self, more: usize) -> Result<(), Problem> {
        self.seen += more;
        let more = self.seen.saturating_sub(FREE).saturating_sub(self.counted);
        if more == 0 {
            return Ok(());
        }
        let most = self.limit.saturating_mul(BODIES);
        if self.intake.all.fetch_add(more, Ordering::Relaxed).saturating_add(more) > most {
            self.intake.all.fetch_sub(more, Ordering::Relaxed);
            return Err(crowded("all callers"));
        }
        if let Some(who) = &self.who {
            let mut of_callers = self.intake.of_callers.lock();
            let held = of_callers.entry(who.clone()).or_default();
            if held.saturating_add(more) > most / SHARE {
                self.intake.all.fetch_sub(more, Ordering::Relaxed);
                return Err(crowded("this caller"));
            }
            *held += more;
        }
        self.counted += more;
        Ok(())
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.seen <= FREE {
            return;
        }
        self.intake.all.fetch_sub(self.counted, Ordering::Relaxed);
        let Some(who) = &self.who else { return };
        let mut of_callers = self.intake.of_callers.lock();
        if let Some(held) = of_callers.get_mut(who) {
            *held = held.saturating_sub(self.counted);
            if *held == 0 {
                of_callers.remove(who);
            }
        }
    }
}

fn crowded(whose: &str) -> Problem {
    Problem::new(Code::RateLimited, format!("too many large bodies of {whose} are on their way; come again later"))
        .retry(Retry::Later(Some(Duration::from_secs(1))))
}

/// Reads the whole body, within the limit and a minute.
///
/// # Errors
/// `BodyTooLarge`, `RateLimited`, `NotARequest` or `DeadlineExceeded`.
pub(super) async fn collect(
    body: Incoming,
    parts: &http::request::Parts,
    hold: &mut Hold<'_>,
) -> Result<Bytes, Problem> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE) {
        return Ok(Bytes::new());
    }
    let declared = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|text| text.parse::<usize>().ok()).is_some_and(|length| length > hold.limit) {
        return Err(too_large(hold.limit));
    }
    match tokio::time::timeout(PATIENCE, read(body, hold)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(Code::DeadlineExceeded, "the body did not arrive within a minute")),
    }
}

/// A body in one piece is passed on as it is; of others, pieces are joined as they come, so that many small ones cost no
/// more than a large one.
async fn read(body: Incoming, hold: &mut Hold<'_>) -> Result<Bytes, Problem> {
    let mut body = Limited::new(body, hold.limit);
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return too_large(hold.limit);
            }
            Problem::new(Code::NotARequest, "the body could not be read to its end").inside(error)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        hold.grow(data.len())?;
        if first.is_empty() && joined.is_empty() {
            first = data;
            continue;
        }
        joined.extend_from_slice(&std::mem::take(&mut first));
        joined.extend_from_slice(&data);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body is larger than {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn caller(id: &str) -> Principal {
        Principal { id: id.into(), proof: Proof::Jwt, ..Principal::local("home.example") }
    }

    #[test]
    fn large_bodies_have_room_for_so_many_and_small_ones_always() {
        let intake = Intake::default();
        let local = Principal::local("home.example");
        let mut holds: Vec<Hold<'_>> = (0..BODIES).map(|_| intake.hold(&local, MIB)).collect();
        for hold in &mut holds {
            hold.grow(MIB).unwrap();
        }
        let mut late = intake.hold(&local, MIB);
        late.grow(FREE).unwrap();
        while late.seen < MIB && late.grow(FREE).is_ok() {}
        assert!(late.grow(MIB).is_err_and(|problem| problem.code == Code::RateLimited), "beyond what is not counted");
        intake.hold(&local, MIB).grow(FREE).unwrap();
        drop((holds, late));
        assert_eq!(intake.all.load(Ordering::Relaxed), 0, "nothing is left of those that have ended");
        intake.hold(&local, MIB).grow(MIB).unwrap();
    }

    #[test]
    fn one_caller_leaves_room_for_others() {
        let intake = Intake::default();
        let (alice, bob) = (caller("alice"), caller("bob"));
        let mut holds: Vec<Hold<'_>> = Vec::new();
        let refused = loop {
            let mut hold = intake.hold(&alice, MIB);
            match hold.grow(MIB) {
                Ok(()) => holds.push(hold),
                Err(problem) => break problem,
            }
        };
        assert_eq!((refused.code, holds.len()), (Code::RateLimited, BODIES / SHARE));
        intake.hold(&bob, MIB).grow(MIB).unwrap();
        drop(holds);
        assert!(intake.of_callers.lock().is_empty());
    }
}
