//! The operator in a browser: a link that works once, and the session that it opens.
//!
//! - A link is 256 random bits, good for ten minutes and one use. It is handed out on the machine itself: by the start of the
//!   gateway, or to whoever shows the operator's secret.
//! - A session lasts twelve hours, or as long as the gateway runs. Neither lies in the store: a restart ends both.
//! - Only hashes are kept. Whoever tries links is slowed down by address, as at a sign-in by password.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::seam::Clock;
use moongate_core::{Code, Problem, Time};
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;

use super::attempts::Attempts;
use super::{random, too_early};

/// How long a link is good for.
pub const LINK: Duration = Duration::from_secs(10 * 60);
/// How long a session lasts.
pub const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
/// Links that are good at once; one more ends the oldest.
const MOST_LINKS: usize = 4;
/// Sessions that are open at once; one more ends the oldest.
const MOST_SESSIONS: usize = 16;

/// The links and sessions of one run of the gateway.
pub struct Operators {
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    links: VecDeque<Kept>,
    sessions: VecDeque<Kept>,
    attempts: Attempts,
}

/// A secret text by its hash, and until when it counts.
struct Kept {
    hash: String,
    ends_at: Time,
}

/// A session of the operator's that holds.
#[derive(Clone)]
pub struct Seat {
    /// The cookie's value.
    pub cookie: String,
    /// When it ends.
    pub ends_at: Time,
}

impl Seat {
    /// What forms of this session carry. It says nothing about the cookie.
    pub fn form_token(&self) -> String {
        random::hashed(&format!("form {}", self.cookie))
    }

    /// Whether a form carries it.
    pub fn accepts_form(&self, token: &str) -> bool {
        self.form_token().as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}

impl Operators {
    /// No links and no sessions yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, held: Mutex::default() }
    }

    /// A new link's secret part, good for [`LINK`].
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn invite(&self) -> Result<String, Problem> {
        let text = random::text(32)?;
        keep(&mut self.held.lock().links, &text, self.clock.now().plus(LINK), MOST_LINKS);
        Ok(text)
    }

    /// Takes a link and opens a session. The link is spent.
    ///
    /// # Errors
    /// `LinkSpent`: it was used, it is too old, or it never was one. `TooManyAttempts`.
    pub fn open(&self, link: &str, address: IpAddr) -> Result<Seat, Problem> {
        let (now, name) = (self.clock.now(), address.to_string());
        let cookie = random::text(32)?;
        let mut held = self.held.lock();
        held.attempts.begin(&name, address, self.clock.mono()).map_err(too_early)?;
        let hash = random::hashed(link);
        let found = held.links.iter().position(|kept| kept.hash == hash);
        let link = found.and_then(|at| held.links.remove(at)).filter(|kept| now < kept.ends_at);
        if link.is_none() {
            let detail =
                "this link works no longer: each is good once, for ten minutes, and until the gateway restarts";
            return Err(Problem::new(Code::LinkSpent, detail));
        }
        held.attempts.succeeded(&name, address);
        let ends_at = now.plus(SESSION);
        keep(&mut held.sessions, &cookie, ends_at, MOST_SESSIONS);
        Ok(Seat { cookie, ends_at })
    }

    /// The session that a cookie stands for, if it holds.
    pub fn session(&self, cookie: &str) -> Option<Seat> {
        let (hash, now) = (random::hashed(cookie), self.clock.now());
        let held = self.held.lock();
        let kept = held.sessions.iter().find(|kept| kept.hash == hash && now < kept.ends_at)?;
        Some(Seat { cookie: cookie.to_owned(), ends_at: kept.ends_at })
    }

    /// Ends a session.
    pub fn end(&self, cookie: &str) {
        let hash = random::hashed(cookie);
        self.held.lock().sessions.retain(|kept| kept.hash != hash);
    }
}

fn keep(all: &mut VecDeque<Kept>, text: &str, ends_at: Time, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(Kept { hash: random::hashed(text), ends_at });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use moongate_core::Mono;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Time that stands still until it is moved, in milliseconds.
    #[derive(Default)]
    struct Moment(AtomicU64);

    impl Moment {
        fn pass(&self, span: Duration) {
            self.0.fetch_add(span.as_millis() as u64, Ordering::SeqCst);
        }
    }

    impl Clock for Moment {
        fn now(&self) -> Time {
            Time(self.0.load(Ordering::SeqCst))
        }

        fn mono(&self) -> Mono {
            Mono(self.0.load(Ordering::SeqCst) * 1000)
        }
    }

    fn scene() -> (Arc<Moment>, Operators) {
        let clock = Arc::new(Moment::default());
        (clock.clone(), Operators::new(clock))
    }

    fn link(operators: &Operators) -> String {
        operators.invite().unwrap()
    }

    #[test]
    fn a_link_opens_one_session_and_not_another() {
        let (_, operators) = scene();
        let link = link(&operators);
        assert_eq!(link.len(), 43, "256 bits");
        let seat = operators.open(&link, HERE).unwrap();
        assert_eq!(operators.open(&link, HERE).unwrap_err().code, Code::LinkSpent);
        assert!(operators.session(&seat.cookie).is_some() && operators.session(&link).is_none());
        assert!(seat.accepts_form(&seat.form_token()) && !seat.accepts_form(&seat.cookie) && !seat.accepts_form(""));
        operators.end(&seat.cookie);
        assert!(operators.session(&seat.cookie).is_none());
    }

    #[test]
    fn links_and_sessions_run_out() {
        let (clock, operators) = scene();
        let late = link(&operators);
        clock.pass(LINK);
        assert_eq!(operators.open(&late, HERE).unwrap_err().code, Code::LinkSpent);
        let seat = operators.open(&link(&operators), HERE).unwrap();
        clock.pass(SESSION - Duration::from_millis(1));
        assert!(operators.session(&seat.cookie).is_some());
        clock.pass(Duration::from_millis(1));
        assert!(operators.session(&seat.cookie).is_none());
    }

    #[test]
    fn guessing_is_slowed_down() {
        let (_, operators) = scene();
        let good = link(&operators);
        let refused: Vec<Code> =
            (0..6).map(|guess| operators.open(&format!("guess {guess}"), HERE).unwrap_err().code).collect();
        assert_eq!(refused.first(), Some(&Code::LinkSpent));
        assert_eq!(refused.last(), Some(&Code::TooManyAttempts));
        assert_eq!(operators.open(&good, HERE).unwrap_err().code, Code::TooManyAttempts, "a right one waits as well");
        let elsewhere = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));
        assert!(operators.open(&good, elsewhere).is_ok());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (_, operators) = scene();
        let first = link(&operators);
        let others: Vec<String> = (0..MOST_LINKS).map(|_| link(&operators)).collect();
        assert_eq!(operators.open(&first, HERE).unwrap_err().code, Code::LinkSpent);
        let oldest = operators.open(&others[0], HERE).unwrap();
        for _ in 0..MOST_SESSIONS {
            operators.open(&link(&operators), HERE).unwrap();
        }
        assert!(operators.session(&oldest.cookie).is_none());
        assert!(operators.held.lock().sessions.len() <= MOST_SESSIONS);
    }
}
