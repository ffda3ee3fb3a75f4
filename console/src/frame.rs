//! The console: pages for whoever runs the gateway, at `/console/` on the admin listener and nowhere else.
//!
//! | path | what | for |
//! |---|---|---|
//! | `/console/sign-in` | the link that works once | everybody |
//! | `/console/` | how things stand | `admin:console` |
//! | `/console/agents` | agents and skills | `admin:console` |
//! | `/console/tasks`, `…/ID` | tasks, and what became of one | `admin:console` |
//! | `/console/routes` | which way a request would take | `admin:console` |
//! | `/console/events` | what happens, for the script | `admin:console` |
//! | `/console/approvals` | what waits for a yes, to look at | `approve` |
//! | `/console/audit`, `…/LINE` | the log, and the proof of a line | `audit:read` |
//! | `/console/configuration` | what is in force, and where it stands | `admin:console` |
//! | `/console/passkey` | a way to come back without a link | the operator |
//!
//! The operator comes by a link and may see everything; people come by their own sign-in and see what their scopes say.
//! Nobody answers a question here: that is for the pages for people, and for a passkey.
//! No page has a door of its own: each asks the API by [`Api`], in this process, and draws the answer. A GET changes nothing;
//! a POST comes from a page of the same origin and carries its session's form token. Everything works without the script,
//! which only fetches the live parts of a page anew.

mod agents;
mod approvals;
mod audit;
mod caller;
mod chart;
mod configuration;
mod layout;
pub mod overview;
mod passkey;
mod place;
mod routes;
mod sign_in;
mod tasks;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Method, Request, Response};
use maud::Markup;
use moongate_core::seam::{Clock, Later};
use moongate_core::{Code, Problem};
use moongate_identity::people::Operators;
use moongate_identity::{Authority, People};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::pages::reply::{asset, live, page, see, status, with_problem};
use crate::pages::visit::{Public, Visit};
use crate::pages::{Visitor, signed_out};
use crate::view;
pub use caller::{Caller, Right};
use place::Place;

/// Where the console begins.
pub(crate) const HOME: &str = "/console/";

/// The stylesheet.
const STYLE: &str = concat!(include_str!("../assets/palette.css"), include_str!("../assets/console.css"));
/// The script that fetches live parts anew.
const SCRIPT: &str = include_str!("../assets/console.js");

/// What a page asks of the API.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// The path with its query, from `/api/v1` on.
    pub path: String,
    /// JSON, or nothing.
    pub body: Bytes,
}

impl Question {
    /// To read what is there.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Bytes::new() }
    }

    /// To do something.
    pub fn post(path: impl Into<String>, body: &Value) -> Self {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        Self { method: Method::POST, path: path.into(), body }
    }
}

/// The API as it answers in this process: the same JSON that it sends to others. Whoever implements it asks
/// [`Caller::may_ask`] first.
pub trait Api: Send + Sync {
    /// Answers a page.
    fn ask<'a>(&'a self, who: &'a Caller, question: Question) -> Later<'a, Result<Value, Problem>>;
}

/// The console.
pub struct Console {
    operators: Operators,
    people: Arc<People>,
    authority: Arc<ArcSwapOption<Authority>>,
    public: Arc<Public>,
}

/// One request, by somebody who is known.
struct Asking<'a> {
    api: &'a dyn Api,
    visit: &'a Visit,
    who: &'a Caller,
}

type Answer = Result<Response<Bytes>, Problem>;

impl Console {
    /// The console of these people, who sign in while the authorization server is on.
    pub fn new(
        people: Arc<People>,
        authority: Arc<ArcSwapOption<Authority>>,
        public: Arc<Public>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { operators: Operators::new(clock), people, authority, public }
    }

    /// Whether a path is one of ours.
    pub fn serves(path: &str) -> bool {
        path.strip_prefix("/console").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// A new link's secret part.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn invite(&self) -> Result<String, Problem> {
        self.operators.invite()
    }

    /// Whose request it is, if that can be told.
    ///
    /// # Errors
    /// The store fails.
    pub async fn caller(&self, visitor: Visitor, request: &Request<Bytes>) -> Result<Option<Caller>, Problem> {
        let visit = Visit::new(visitor, &self.public, request.clone());
        if let Some(seat) = visit.operator_cookie().and_then(|cookie| self.operators.session(cookie)) {
            return Ok(Some(Caller::Operator(seat)));
        }
        match visit.cookie().filter(|_| self.authority.load().is_some()) {
            Some(cookie) => Ok(self.people.session(cookie).await?.map(Caller::Person)),
            None => Ok(None),
        }
    }

    /// Who does what a request wants, as the record names them: the one whose session it shows, if a page of that session sent
    /// what changes something.
    pub fn by(&self, visitor: Visitor, request: &Request<Bytes>, who: &Caller) -> Option<String> {
        let visit = Visit::new(visitor, &self.public, request.clone());
        let sent = || visit.comes_from_here().is_ok() && visit.field("form").is_some_and(|form| who.accepts_form(form));
        (visit.reads() || sent()).then(|| who.source(self.authority.load().as_ref().map_or("-", |own| own.name())))
    }

    /// Answers a request of [`Console::caller`]'s.
    pub async fn handle(
        &self,
        api: &dyn Api,
        visitor: Visitor,
        who: Option<&Caller>,
        request: Request<Bytes>,
    ) -> Response<Bytes> {
        let visit = Visit::new(visitor, &self.public, request);
        let answered = self.answer(api, &visit, who).await;
        live(answered.unwrap_or_else(|problem| {
            if let Some(inside) = &problem.inside {
                tracing::warn!(code = %problem.code, inside, "{}", problem.detail);
            }
            with_problem(&problem, &layout::problem(who, &problem))
        }))
    }

    async fn answer(&self, api: &dyn Api, visit: &Visit, who: Option<&Caller>) -> Answer {
        let reads = visit.reads();
        if !reads && *visit.method() != Method::POST {
            return Err(Problem::new(Code::HttpMethodNotAllowed, "pages are read with GET, and forms sent with POST"));
        }
        if !reads {
            visit.comes_from_here()?;
        }
        match (reads, visit.path()) {
            (true, "/console/console.css") => Ok(asset("text/css; charset=utf-8", STYLE)),
            (true, "/console/pages.css") => Ok(asset("text/css; charset=utf-8", view::STYLE)),
            (true, "/console/console.js") => Ok(asset("text/javascript; charset=utf-8", SCRIPT)),
            (true, "/console/sign-in") => Ok(self.sign_in_page(visit, who)),
            (false, "/console/sign-in") => self.sign_in(visit),
            (_, path) => self.behind_the_door(api, visit, (reads, path), who).await,
        }
    }

    async fn behind_the_door(
        &self,
        api: &dyn Api,
        visit: &Visit,
        (reads, path): (bool, &str),
        who: Option<&Caller>,
    ) -> Answer {
        let Some(who) = who else {
            return match reads {
                // A link on another site does not bring the cookie along. A page of ours that calls the same address does.
                true if visit.came_from_elsewhere() => Ok(page(status(200), &view::again(&visit.here()))),
                true => Ok(see(sign_in::PATH)),
                false => Err(signed_out()),
            };
        };
        if !reads && !visit.field("form").is_some_and(|token| who.accepts_form(token)) {
            return Err(Problem::new(Code::FormRefused, "the form is not one of this session’s"));
        }
        let asking = Asking { api, visit, who };
        match (reads, path) {
            (true, "/console") => Ok(see(HOME)),
            (true, passkey::PATH) => Ok(asking.passkey_page()),
            (false, passkey::PATH) => asking.add_person().await,
            (false, routes::PATH) => asking.explained().await,
            (false, "/console/sign-out") => Ok(self.sign_out(visit, who)),
            (true, path) => asking.place(path).await,
            _ => Err(Problem::new(Code::NoSuchPath, "there is no such page")),
        }
    }
}

impl Asking<'_> {
    /// Asks the API, and reads its answer as the view that a page draws.
    async fn look<V: DeserializeOwned>(&self, path: impl Into<String>) -> Result<V, Problem> {
        read(self.api.ask(self.who, Question::get(path)).await?)
    }

    /// The page at a path; whoever may not see the first one sees the first that is open to them.
    async fn place(&self, path: &str) -> Answer {
        let place = Place::at(path).ok_or_else(|| Problem::new(Code::NoSuchPath, "there is no such page"))?;
        if let Some(other) = self.visit.parameters().find(|name| !place.parameters.contains(name)) {
            let why = "is nothing that this page can be asked for";
            return Err(Problem::new(Code::InvalidParams, format!("{other} {why}")).field(other, why));
        }
        if self.who.may(place.right) {
            return (place.draw)(self).await;
        }
        match place::ALL.iter().find(|other| path == HOME && self.who.may(other.right)) {
            Some(other) => Ok(see(other.path)),
            None => Err(place.right.missing()),
        }
    }

    /// A page inside the frame.
    fn page(&self, content: &Markup) -> Response<Bytes> {
        let place = Place::at(self.visit.path());
        let title = place.map_or("Console", |place| place.title);
        page(status(200), &layout::frame(self.who, place, title, content))
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The API's answer as a view.
fn read<V: DeserializeOwned>(answer: Value) -> Result<V, Problem> {
    serde_json::from_value(answer)
        .map_err(|error| Problem::new(Code::Internal, "the page does not understand the API's answer").inside(error))
}
