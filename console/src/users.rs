//! People under `/api/v1/users`, for the operator, whom the secret file makes known.
//!
//! - `GET /api/v1/users`, `POST /api/v1/users`, `GET`, `PATCH`, `DELETE /api/v1/users/{name}`
//! - `POST /api/v1/users/{name}:invite`, `:password`, `:disable`, `:enable`
//!
//! A password comes in a body and is never given back; a link to sign up is given once, to whoever asked for it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use moongate_approval::Desk;
use moongate_core::scope::Plane;
use moongate_core::{Code, Principal, PrincipalKind, Problem, Scope, Time};
use moongate_identity::people::{Invitation, NewUser, Password, User, UserName};
use moongate_identity::{Authority, People};
use serde_json::{Value, json};

use crate::pages::Public;

/// Users, as the API has them.
pub struct Users {
    people: Arc<People>,
    public: Arc<Public>,
    authority: Arc<ArcSwapOption<Authority>>,
    desk: Arc<Desk>,
}

/// What may be done with a skill, as the last word of its scopes.
const VERBS: [&str; 6] = ["send", "get", "list", "cancel", "subscribe", "push"];
/// What a person may be given, for whoever wrote something else.
const KNOWN: &str = "known are approve, a2a:SKILL:VERB (send, get, list, cancel, subscribe, push), audit:read, admin:console, \
                     register, topology, and what [oauth] scopes names";

/// A status and a JSON body.
type Answer = Result<(StatusCode, Value), Problem>;

impl Users {
    /// The API over these people; links lead to the gateway's public address, while there are pages.
    pub fn new(
        people: Arc<People>,
        public: Arc<Public>,
        authority: Arc<ArcSwapOption<Authority>>,
        desk: Arc<Desk>,
    ) -> Self {
        Self { people, public, authority, desk }
    }

    /// A link wants a page that it leads to.
    fn links(&self) -> Result<(), Problem> {
        let off =
            || Problem::new(Code::OauthOff, "a link would lead nowhere: there are pages only where [oauth] is on");
        self.authority.load().is_some().then_some(()).ok_or_else(off)
    }

    /// Whether a path is one of ours.
    pub fn serves(path: &str) -> bool {
        path.strip_prefix("/api/v1/users").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// `Forbidden` for everybody but the operator; what [`People`] answers.
    pub async fn handle(&self, who: &Principal, request: Request<Bytes>) -> Answer {
        if who.kind != PrincipalKind::Operator {
            let detail = "this is for the operator, who is known by the secret file";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let path = request.uri().path().trim_end_matches('/');
        let rest = path.strip_prefix("/api/v1/users").unwrap_or_default().trim_start_matches('/');
        match (request.method().clone(), rest, rest.split_once(':')) {
            (Method::GET, "", _) => {
                let users: Vec<Value> = self.people.all().await?.iter().map(view).collect();
                Ok((StatusCode::OK, json!({ "users": users })))
            }
            (Method::POST, "", _) => self.add(&request).await,
            (Method::POST, _, Some((name, action))) => self.act(&named(name)?, action, &request).await,
            (Method::GET, name, None) => self.show(&named(name)?).await,
            (Method::PATCH, name, None) => {
                let body = body(&request)?;
                let (display_name, scopes) = (text(&body, "display_name")?, self.scopes(&body)?);
                let user = self.people.amend(&named(name)?, display_name, scopes).await?;
                self.unremember(&user.name).await?;
                Ok((StatusCode::OK, view(&user)))
            }
            (Method::DELETE, name, None) => {
                let named = named(name)?;
                self.people.remove(&named).await?;
                self.forget(&named).await?;
                Ok((StatusCode::OK, json!({ "removed": name })))
            }
            _ => Err(Problem::new(
                Code::HttpMethodNotAllowed,
                "the method does not fit this path; see /api/v1/openapi.json",
            )),
        }
    }

    async fn add(&self, request: &Request<Bytes>) -> Answer {
        let body = body(request)?;
        let name = text(&body, "name")?.unwrap_or_default();
        let name = UserName::read(name).ok_or_else(bad_name)?;
        let scopes = self.scopes(&body)?.unwrap_or_default();
        let display_name = text(&body, "display_name")?.unwrap_or_default().to_owned();
        let password = text(&body, "password")?.map(Password::choose).transpose()?;
        let invite = password.is_none();
        if invite {
            self.links()?;
        }
        let user = self.people.add(NewUser { name, display_name, scopes }, password).await?;
        let mut view = view(&user);
        if invite {
            let invitation = self.people.invite(&user.name).await?;
            attach(&mut view, self.link(&invitation, request));
        }
        Ok((StatusCode::CREATED, view))
    }

    /// The scopes of a body, each of which means something: here, or in the tokens that the authorization server may give.
    fn scopes(&self, body: &Value) -> Result<Option<Vec<String>>, Problem> {
        let Some(value) = body.get("scopes").filter(|value| !value.is_null()) else { return Ok(None) };
        let texts = value.as_array().and_then(|all| all.iter().map(|scope| Some(scope.as_str()?.to_owned())).collect());
        let texts: Vec<String> = texts.ok_or_else(|| wrong("scopes", "is a list of texts"))?;
        let authority = self.authority.load_full();
        let given = |scope: &Scope| scope.is_other() && authority.as_ref().is_some_and(|own| own.may_give(scope));
        for text in &texts {
            // What is no scope at all is refused, in words of their own, by those who keep people.
            let Ok(scope) = Scope::written(text) else { continue };
            if !means_something(&scope) && !given(&scope) {
                let why = format!("{text:?} means nothing here; {KNOWN}");
                return Err(Problem::new(Code::InvalidParams, why.clone()).field("scopes", why));
            }
        }
        Ok(Some(texts))
    }

    async fn show(&self, name: &UserName) -> Answer {
        let user = self.people.find(name).await?;
        let user = user.ok_or_else(|| Problem::new(Code::NoSuchUser, format!("there is no user {name}")))?;
        let mut view = view(&user);
        let passkeys: Vec<Value> = self
            .people
            .passkeys(name)
            .await?
            .iter()
            .map(|held| json!({"label": held.label, "made_at": time(held.made_at), "used_at": held.used_at.map(time)}))
            .collect();
        if let Some(members) = view.as_object_mut() {
            members.insert("passkeys".into(), json!(passkeys));
        }
        Ok((StatusCode::OK, view))
    }

    async fn act(&self, name: &UserName, action: &str, request: &Request<Bytes>) -> Answer {
        match action {
            "invite" => {
                self.links()?;
                let invitation = self.people.invite(name).await?;
                self.forget(name).await?;
                let mut view =
                    json!({ "name": name.as_str(), "ended": ["password", "passkeys", "sessions", "grants"] });
                attach(&mut view, self.link(&invitation, request));
                Ok((StatusCode::CREATED, view))
            }
            "password" => {
                let body = body(request)?;
                let password = text(&body, "password")?.ok_or_else(|| wrong("password", "is missing"))?;
                let user = self.people.set_password(name, Password::choose(password)?).await?;
                self.forget(name).await?;
                Ok((StatusCode::OK, ended(view(&user), json!(["passkeys", "sessions", "grants"]))))
            }
            "disable" => {
                let user = self.people.disable(name, true).await?;
                self.forget(name).await?;
                Ok((StatusCode::OK, ended(view(&user), json!(["sessions", "grants"]))))
            }
            "enable" => Ok((StatusCode::OK, view(&self.people.disable(name, false).await?))),
            _ => Err(Problem::new(Code::NoSuchPath, format!("there is no action {action}; see /api/v1/openapi.json"))),
        }
    }

    /// Ends what programs hold in a person's name. Where the authorization server is off, there is nobody to take it, and it is void
    /// when that is turned on again.
    async fn forget(&self, name: &UserName) -> Result<(), Problem> {
        self.unremember(name).await?;
        if let Some(authority) = self.authority.load_full() {
            let count = authority.forget_user(name.as_str()).await?;
            tracing::info!(user = name.as_str(), count, "what programs held in a person's name has ended");
        }
        Ok(())
    }

    /// What a person said yes to is asked about again.
    async fn unremember(&self, name: &UserName) -> Result<(), Problem> {
        self.desk.forget_of(name.as_str()).await.map(drop)
    }

    /// Where a person signs up.
    fn link(&self, invitation: &Invitation, request: &Request<Bytes>) -> Value {
        let base = self.public.base(request.headers());
        json!({"url": format!("{base}/oauth/sign-up?code={}", invitation.code), "expires_at": time(invitation.expires_at)})
    }
}

/// Whether anything in the gateway asks for it.
fn means_something(scope: &Scope) -> bool {
    let text = scope.to_string();
    let segments: Vec<&str> = text.split(':').collect();
    match (scope.plane(), segments.as_slice()) {
        (Some(Plane::A2a), [_, _, verb]) => *verb == "*" || VERBS.contains(verb),
        (Some(Plane::Audit), [_, what]) => ["*", "read"].contains(what),
        (Some(Plane::Admin), [_, area]) => ["*", "console"].contains(area),
        (Some(_), _) => true,
        (None, _) => !scope.is_other(),
    }
}

/// Says what ended with it.
fn ended(mut view: Value, what: Value) -> Value {
    if let Some(members) = view.as_object_mut() {
        members.insert("ended".into(), what);
    }
    view
}

fn attach(view: &mut Value, invitation: Value) {
    if let Some(members) = view.as_object_mut() {
        members.insert("invitation".into(), invitation);
    }
}

fn view(user: &User) -> Value {
    json!({
        "name": user.name.as_str(), "display_name": user.display_name, "scopes": user.scopes, "disabled": user.disabled,
        "has_password": user.has_password(), "made_at": time(user.made_at),
    })
}

/// RFC 3339.
pub(crate) fn time(time: Time) -> String {
    let (seconds, millis) = (time.0 / 1000, u32::try_from(time.0 % 1000).unwrap_or_default());
    moongate_wire::a2a::timestamp::format(i64::try_from(seconds).unwrap_or(i64::MAX), millis * 1_000_000)
        .unwrap_or_default()
}

fn named(text: &str) -> Result<UserName, Problem> {
    UserName::read(text).ok_or_else(|| Problem::new(Code::NoSuchUser, "there is no user of that name"))
}

fn bad_name() -> Problem {
    wrong("name", "is 1 to 64 of a-z, 0-9, '.', '-' and '_', beginning with a letter or digit")
}

fn wrong(field: &str, what: &str) -> Problem {
    Problem::new(Code::InvalidParams, format!("{field} {what}")).field(field, what)
}

fn text<'b>(body: &'b Value, name: &str) -> Result<Option<&'b str>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "is a text")),
    }
}

fn body(request: &Request<Bytes>) -> Result<Value, Problem> {
    moongate_wire::json::check(request.body(), &moongate_wire::json::Limits::default())?;
    serde_json::from_slice(request.body())
        .map_err(|error| Problem::new(Code::BodyNotJson, format!("the body is not JSON: {error}")))
}
