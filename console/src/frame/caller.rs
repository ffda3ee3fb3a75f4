//! Who looks at the console, and what that one may ask of the API.

use http::Method;
use moongate_core::{Code, Problem, Scope};
use moongate_identity::people::{Seat, SignedIn};

/// Somebody whose session holds.
#[derive(Debug)]
pub enum Caller {
    /// Whoever opened the link that the gateway printed, or gave to the holder of the operator's secret.
    Operator(Seat),
    /// A person who signed in.
    Person(SignedIn),
}

/// What a page, or an answer of the API, is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// How the gateway is: scope `admin:console`.
    See,
    /// Questions that wait for people, to look at: scope `approve`.
    Questions,
    /// Lines of the audit log: scope `audit:read`.
    ReadLog,
}

impl Right {
    /// The scope that a person needs.
    pub fn scope(self) -> &'static str {
        match self {
            Self::See => "admin:console",
            Self::Questions => "approve",
            Self::ReadLog => "audit:read",
        }
    }

    /// What reading this path of the API wants.
    pub fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let under = |noun: &str| {
            path.strip_prefix("/api/v1/")
                .and_then(|rest| rest.strip_prefix(noun))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        };
        // What became of a task is told with lines of the log and people's decisions, and so is what happens just now.
        let tells_lines = under("events") || (under("tasks") && path.ends_with("/timeline"));
        if under("approvals") {
            Self::Questions
        } else if under("audit") || tells_lines {
            Self::ReadLog
        } else {
            Self::See
        }
    }

    /// Whoever does not have it hears this.
    pub(super) fn missing(self) -> Problem {
        let detail = format!("this page wants the scope {}", self.scope());
        Problem::new(Code::InsufficientScope, detail).field("scope", self.scope())
    }
}

/// The operator, as the audit log names that one.
pub(super) const OPERATOR: &str = "operator";

/// What may be done from pages, besides looking: nothing here answers a question.
const ASK: &str = "/api/v1/explain";
const ADD_PERSON: &str = "/api/v1/users";

impl Caller {
    /// Whether that one has the right.
    pub fn may(&self, right: Right) -> bool {
        match self {
            Self::Operator(_) => true,
            Self::Person(who) => Scope::parse(right.scope()).is_some_and(|scope| who.user.rights().covers(&scope)),
        }
    }

    /// Reads what the rights reach; does two things that a page has a form for.
    ///
    /// # Errors
    /// `Forbidden`, `InsufficientScope`.
    pub fn may_ask(&self, method: &Method, path: &str) -> Result<(), Problem> {
        let right = Right::of(path);
        let allowed = match (method, path) {
            (&Method::GET, _) | (&Method::POST, ASK) => true,
            (&Method::POST, ADD_PERSON) => matches!(self, Self::Operator(_)),
            _ => false,
        };
        if !allowed {
            return Err(Problem::new(Code::Forbidden, "this is done with the operator’s secret, not from the console"));
        }
        if self.may(right) { Ok(()) } else { Err(right.missing()) }
    }

    /// Who does something, as the audit log names it.
    pub fn source(&self, domain: &str) -> String {
        match self {
            Self::Operator(_) => OPERATOR.to_owned(),
            Self::Person(who) => format!("{domain}:{}", who.user.name),
        }
    }

    /// The name to show.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Operator(_) => "the operator",
            Self::Person(who) => &who.user.display_name,
        }
    }

    /// What forms of this session carry.
    pub(super) fn form_token(&self) -> String {
        match self {
            Self::Operator(seat) => seat.form_token(),
            Self::Person(who) => who.form_token(),
        }
    }

    /// Whether a form carries it.
    pub(super) fn accepts_form(&self, token: &str) -> bool {
        match self {
            Self::Operator(seat) => seat.accepts_form(token),
            Self::Person(who) => who.accepts_form(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use moongate_core::Time;

    use super::*;

    #[test]
    fn a_link_makes_nobody_one_of_those_who_answer() {
        let operator = Caller::Operator(Seat { cookie: "x".into(), ends_at: Time(1) });
        for path in ["/api/v1/approvals/7:approve", "/api/v1/approvals/7:deny", "/api/v1/users/alice:password"] {
            assert_eq!(operator.may_ask(&Method::POST, path).unwrap_err().code, Code::Forbidden, "{path}");
        }
        for method in [Method::PATCH, Method::DELETE, Method::PUT] {
            assert!(operator.may_ask(&method, "/api/v1/users/alice").is_err(), "{method}");
            assert!(operator.may_ask(&method, "/api/v1/explain").is_err(), "{method}");
        }
        assert!(operator.may_ask(&Method::GET, "/api/v1/approvals").is_ok());
    }

    #[test]
    fn every_path_of_the_api_wants_one_right() {
        for (path, right) in [
            ("/api/v1/overview", Right::See),
            ("/api/v1/agents", Right::See),
            ("/api/v1/approvals", Right::Questions),
            ("/api/v1/approvals?state=past", Right::Questions),
            ("/api/v1/approvals/7:approve", Right::Questions),
            ("/api/v1/audit?source=alice", Right::ReadLog),
            ("/api/v1/audit/7", Right::ReadLog),
            ("/api/v1/audit:verify", Right::ReadLog),
            ("/api/v1/auditors", Right::See),
            ("/api/v1/users", Right::See),
            ("/api/v1/tasks", Right::See),
            ("/api/v1/tasks/7/timeline", Right::ReadLog),
            ("/api/v1/events", Right::ReadLog),
        ] {
            assert_eq!(Right::of(path), right, "{path}");
        }
    }
}
