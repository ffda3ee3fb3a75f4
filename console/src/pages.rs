//! Pages for people, under `/oauth` and `/approvals`.
//!
//! | path | what |
//! |---|---|
//! | `/oauth/sign-in`, `/oauth/sign-in/passkey`, `/oauth/sign-out` | sessions |
//! | `/oauth/sign-up`, `/oauth/sign-up/passkey` | the link that an operator handed over |
//! | `/oauth/account`, `…/password`, `…/passkey`, `…/passkey/remove` | one's own password and passkeys |
//! | `/oauth/device` | a device that shows a code asks (RFC 8628) |
//! | `/oauth/authorize` | a program in the browser asks (OAuth 2.1 §4.1) |
//! | `/approvals`, `/approvals/ID` | a request waits for a yes |
//! | `/approvals/app/…` | the same as an app that is told of it |
//!
//! A GET changes nothing. A POST must come from a page of the same origin and, where somebody is signed in, carry the
//! session's form token; cookies are `SameSite=Strict` besides.

mod account;
mod app;
mod approvals;
mod authorize;
mod device;
pub(crate) mod reply;
pub(crate) mod sign_in;
mod sign_up;
pub(crate) mod visit;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Method, Request, Response};
use moongate_approval::Desk;
use moongate_approval::channels::push::Push;
use moongate_core::seam::Clock;
use moongate_core::{Code, Problem};
use moongate_identity::people::{Attempts, SignedIn, UserName};
use moongate_identity::{Authority, People};
use parking_lot::Mutex;

pub use visit::Public;

use crate::view;
use reply::{asset, page, problem_page, status};
use visit::Visit;

/// Who visits, as the listener knows it.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// The other end's address.
    pub address: IpAddr,
    /// Whether the connection is TLS.
    pub secure: bool,
}

/// A request of a browser, and whose session its cookie is.
pub struct Arrived {
    visit: Visit,
    who: Option<SignedIn>,
    /// That person, as requests name people.
    name: Option<Arc<str>>,
}

impl Arrived {
    /// Who asks, as far as that is sure before it is done: whoever is signed in. A form is theirs only if a page of that
    /// session sent it; who signs in is known afterwards.
    pub fn by(&self) -> Option<&Arc<str>> {
        let (visit, who) = (&self.visit, self.who.as_ref()?);
        let sent = || visit.comes_from_here().is_ok() && visit.field("form").is_some_and(|form| who.accepts_form(form));
        self.name.as_ref().filter(|_| visit.reads() || sent())
    }

    /// Who it says that it is from, where that is not sure.
    pub fn claimed(&self) -> Option<&str> {
        match self.visit.path() {
            "/oauth/sign-in" => self.visit.field("name"),
            _ => self.name.as_deref(),
        }
    }

    /// The request.
    pub fn request(&self) -> &Request<Bytes> {
        self.visit.request()
    }
}

/// Bytes of a form at most.
pub const FORM: usize = 16 * 1024;

/// The pages.
pub struct Pages {
    people: Arc<People>,
    authority: Arc<ArcSwapOption<Authority>>,
    clock: Arc<dyn Clock>,
    /// Codes of devices that somebody typed, and that fit none.
    codes: Mutex<Attempts>,
    public: Arc<Public>,
    desk: Arc<Desk>,
    push: Arc<Push>,
}

type Answer = Result<Response<Bytes>, Problem>;

impl Pages {
    /// Pages for these people, who answer what the authorization server asks while it is on.
    pub fn new(
        people: Arc<People>,
        authority: Arc<ArcSwapOption<Authority>>,
        public: Arc<Public>,
        clock: Arc<dyn Clock>,
        desk: Arc<Desk>,
        push: Arc<Push>,
    ) -> Self {
        Self { people, authority, public, clock, codes: Mutex::default(), desk, push }
    }

    /// Whether a path is one of ours.
    pub fn serves(path: &str) -> bool {
        matches!(
            path,
            "/oauth/device" | "/oauth/authorize" | "/oauth/pages.css" | "/oauth/passkey.js" | "/oauth/sign-out"
        ) || ["/oauth/sign-in", "/oauth/sign-up", "/oauth/account", approvals::PLACE]
            .iter()
            .any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Takes a request, whose body is whole and at most [`FORM`] bytes, and finds out whose session it shows.
    ///
    /// # Errors
    /// The answer, where the store fails.
    pub async fn arrive(&self, visitor: Visitor, request: Request<Bytes>) -> Result<Arrived, Box<Response<Bytes>>> {
        let visit = Visit::new(visitor, &self.public, request);
        let who = self.session(&visit).await.map_err(|problem| Box::new(told(&problem)))?;
        let name = who.as_ref().and_then(|who| self.full_name(&who.user.name).ok());
        Ok(Arrived { visit, who, name })
    }

    /// Answers a request.
    pub async fn handle(&self, arrived: Arrived) -> Response<Bytes> {
        self.answer(&arrived.visit, arrived.who.as_ref()).await.unwrap_or_else(|problem| told(&problem))
    }

    async fn answer(&self, visit: &Visit, who: Option<&SignedIn>) -> Answer {
        let reads = visit.reads();
        if !reads && *visit.method() != Method::POST {
            return Err(Problem::new(Code::HttpMethodNotAllowed, "pages are read with GET, and forms sent with POST"));
        }
        if !reads {
            visit.comes_from_here()?;
        }
        if reads && let Some(file) = app::file(visit.path()) {
            return Ok(file);
        }
        match (reads, visit.path()) {
            (true, "/oauth/pages.css") => Ok(asset("text/css; charset=utf-8", view::STYLE)),
            (true, "/oauth/passkey.js") => Ok(asset("text/javascript; charset=utf-8", view::SCRIPT)),
            (true, "/oauth/sign-in") => self.sign_in_page(visit, who).await,
            (false, "/oauth/sign-in") => self.sign_in(visit).await,
            (false, "/oauth/sign-in/passkey") => self.sign_in_by_passkey(visit).await,
            (false, "/oauth/sign-out") => self.sign_out(visit, who).await,
            (true, "/oauth/sign-up") => self.sign_up_page(visit).await,
            (false, "/oauth/sign-up") => self.sign_up(visit).await,
            (false, "/oauth/sign-up/passkey") => self.sign_up_by_passkey(visit).await,
            (_, path) => self.behind_the_door(visit, who, (reads, path)).await,
        }
    }

    /// What wants somebody who is signed in.
    async fn behind_the_door(&self, visit: &Visit, who: Option<&SignedIn>, (reads, path): (bool, &str)) -> Answer {
        let Some(who) = who else {
            return if reads { self.ask_to_sign_in(visit) } else { Err(signed_out()) };
        };
        if !reads && !visit.field("form").is_some_and(|token| who.accepts_form(token)) {
            return Err(Problem::new(Code::FormRefused, "the form is not one of this session’s"));
        }
        match (reads, path) {
            (true, approvals::PLACE) => self.approvals_page(who).await,
            (true, path) if approvals::id(path).is_some() => {
                self.approval_page(visit, who, approvals::id(path).unwrap_or_default()).await
            }
            (false, path) if approvals::id(path).is_some() => {
                self.decide_approval(visit, who, approvals::id(path).unwrap_or_default()).await
            }
            (false, path) if app::is_form(path) => self.app(visit, who, path).await,
            (true, "/oauth/device") => Ok(self.device_page(visit, who)),
            (false, "/oauth/device") => self.device(visit, who).await,
            (true, "/oauth/authorize") => self.authorize_page(visit, who).await,
            (false, "/oauth/authorize") => self.authorize(visit, who).await,
            (true, "/oauth/account") => self.account_page(visit, who).await,
            (false, "/oauth/account/password") => self.change_password(visit, who).await,
            (false, "/oauth/account/passkey") => self.add_passkey(visit, who).await,
            (false, "/oauth/account/passkey/remove") => self.remove_passkey(visit, who).await,
            _ => Err(Problem::new(Code::NoSuchPath, "there is no such page")),
        }
    }

    fn authority(&self) -> Result<Arc<Authority>, Problem> {
        let off = || Problem::new(Code::OauthOff, "nothing can be asked: the authorization server is off");
        self.authority.load_full().ok_or_else(off)
    }

    /// A person as requests, votes and the record name them.
    fn full_name(&self, name: &UserName) -> Result<Arc<str>, Problem> {
        Ok(format!("{}:{name}", self.authority()?.name()).into())
    }

    async fn session(&self, visit: &Visit) -> Result<Option<SignedIn>, Problem> {
        match visit.cookie() {
            Some(cookie) => self.people.session(cookie).await,
            None => Ok(None),
        }
    }

    /// The sign-in page, which leads back here afterwards.
    fn ask_to_sign_in(&self, visit: &Visit) -> Answer {
        // A link on another site does not bring the cookie along. A page of ours that calls the same address does.
        if visit.came_from_elsewhere() {
            return Ok(page(status(200), &view::again(&visit.here())));
        }
        self.sign_in_form(visit, &visit.here(), None)
    }
}

/// A problem's page.
fn told(problem: &Problem) -> Response<Bytes> {
    if let Some(inside) = &problem.inside {
        tracing::warn!(code = %problem.code, inside, "{}", problem.detail);
    }
    problem_page(problem)
}

pub(crate) fn signed_out() -> Problem {
    Problem::new(Code::FormRefused, "nobody is signed in any more; open the page again and sign in")
}
