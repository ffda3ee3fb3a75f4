//! One POST to an address that the operator chose. Redirects are not followed: they are somebody else's choice.

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::seam::{Dialer, Fetch};
use moongate_core::{Code, Problem};

const TRY_MS: u64 = 10_000;
/// Bytes of an answer that are read, and thrown away.
const ANSWER: usize = 16 * 1024;

/// Posts it.
pub(super) async fn post(
    dialer: &Arc<dyn Dialer>,
    url: &str,
    headers: Vec<(String, String)>,
    body: Bytes,
) -> Result<(), Problem> {
    let fetch = Fetch {
        method: "POST",
        url: url.to_owned(),
        headers,
        body,
        timeout_ms: TRY_MS,
        limit: ANSWER,
        body_wanted: false,
        egress: None,
    };
    match dialer.fetch(fetch).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) if (300..400).contains(&answer.status) => {
            let detail = format!("it answers {} and points elsewhere, where nothing is sent", answer.status);
            Err(Problem::new(Code::NotTold, detail))
        }
        Ok(answer) => Err(Problem::new(Code::NotTold, format!("it answers {}", answer.status))),
        Err(problem) => Err(not_told(problem)),
    }
}

/// A problem of the way there, as one of the channel.
pub(super) fn not_told(problem: Problem) -> Problem {
    let told = Problem::new(Code::NotTold, problem.detail);
    match problem.inside {
        Some(inside) => told.inside(inside),
        None => told,
    }
}
