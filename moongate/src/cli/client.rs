//! Talking to the running gateway: found by the configuration, through its admin listener, as the operator.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use moongate_config::Config;
use moongate_core::seam::{Dialer, Fetch, Fetched};
use moongate_core::{Code, Problem};
use moongate_identity::Secret;
use moongate_transport::{HttpDialer, Origin, Pool, PoolBody, PoolConfig};
use moongate_wire::sse::Parser;
use serde_json::Value;

use super::{Context, Failure, run};
use crate::wire_up;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// The most bytes of one event.
const LARGEST: usize = 256 * 1024;

/// A client of the running gateway.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    dialer: HttpDialer,
    pool: Pool,
    base: String,
    secret: Option<String>,
    /// Where the operator's secret would lie, if there is none.
    missing: Option<PathBuf>,
    patience: Duration,
    answered: Cell<bool>,
}

impl Client {
    /// A client for the gateway that the configuration describes.
    pub(crate) fn new(context: &Context) -> Result<Self, Failure> {
        let loaded = moongate_config::load(&context.config, &wire_up::rules::check)?;
        Ok(Self::of(&loaded.config)?)
    }

    /// The same with a configuration that has been read already.
    pub(crate) fn of(config: &Config) -> Result<Self, Problem> {
        let path = wire_up::secret_path(config);
        let secret = Secret::load(&path)?.map(|secret| secret.reveal().to_owned());
        let missing = secret.is_none().then_some(path);
        Ok(Self { secret, missing, ..Self::without_secret(config)? })
    }

    /// A client that does not say who asks.
    pub(crate) fn without_secret(config: &Config) -> Result<Self, Problem> {
        let address = config.listen.admin.or(config.listen.plain).ok_or_else(|| {
            Problem::new(Code::GatewayUnreachable, "the configuration opens neither an admin nor a plain listener")
        })?;
        let tls = moongate_identity::tls::client_config(&[])?;
        let pool = Pool::new(PoolConfig::default(), tls);
        let dialer = HttpDialer::new(pool.clone());
        let (runtime, base) = (run::runtime()?, format!("http://{address}"));
        Ok(Self {
            runtime,
            dialer,
            pool,
            base,
            secret: None,
            missing: None,
            patience: PATIENCE,
            answered: Cell::new(false),
        })
    }

    /// The same, for what takes long.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether anything has been answered yet.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.get()
    }

    /// Lets some time pass before the next question.
    pub(crate) fn breathe(&self, span: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(span).await });
    }

    /// The address that it talks to.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and reads the answer, whatever its status.
    pub(crate) fn send(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        version: bool,
    ) -> Result<Fetched, Problem> {
        self.run(self.exchange(method, path, body, version))
    }

    /// The same, for whoever waits for other things too.
    pub(crate) async fn exchange(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        version: bool,
    ) -> Result<Fetched, Problem> {
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        if version {
            headers.push(("a2a-version".to_owned(), "1.0".to_owned()));
        }
        if let Some(secret) = &self.secret {
            headers.push(("authorization".to_owned(), format!("Bearer {secret}")));
        }
        let fetch = Fetch {
            method,
            url: format!("{}{path}", self.base),
            headers,
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
            timeout_ms: u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX),
            limit: 64 * 1024 * 1024,
            body_wanted: true,
            egress: None,
        };
        let answer = self.dialer.fetch(fetch).await.map_err(|problem| match problem.code {
            Code::AgentTimeout => {
                let waited = self.patience.as_secs();
                Problem::new(Code::CommandFailed, format!("the gateway did not answer within {waited} s"))
            }
            Code::AgentAnswerTooLarge => Problem::new(Code::CommandFailed, problem.detail),
            _ => Problem::new(Code::GatewayUnreachable, format!("no gateway answers at {}", self.base)).inside(problem),
        })?;
        self.answered.set(true);
        Ok(answer)
    }

    /// Runs something that asks, to its end.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Opens a stream of events.
    pub(crate) async fn events(&self, path: &str) -> Result<Events, Problem> {
        let unreachable = |cause: &dyn std::fmt::Display| {
            Problem::new(Code::GatewayUnreachable, format!("no gateway answers at {}", self.base)).inside(cause)
        };
        let origin = Origin::parse(&self.base, false).map_err(|error| unreachable(&error))?;
        let mut request = http::Request::get(path).header("accept", "text/event-stream");
        if let Some(secret) = &self.secret {
            request = request.header("authorization", format!("Bearer {secret}"));
        }
        let request = request
            .body(Full::new(Bytes::new()))
            .map_err(|error| Problem::new(Code::Internal, "the request cannot be written").inside(error))?;
        let answer = self.pool.send(&origin, request).await.map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let body = answer.into_body();
        if status == 200 {
            return Ok(Events { body, parser: Parser::new(LARGEST) });
        }
        let bytes =
            http_body_util::Limited::new(body, LARGEST).collect().await.map(http_body_util::Collected::to_bytes);
        Err(told(&serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default(), status))
    }

    /// Asks the API; an error of the gateway's is told in its own words.
    pub(crate) fn api(&self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, Problem> {
        self.run(self.asked(method, path, body))
    }

    /// Reads from the API, for whoever waits for other things too.
    pub(crate) async fn ask(&self, path: &str) -> Result<Value, Problem> {
        self.asked("GET", path, None).await
    }

    async fn asked(&self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, Problem> {
        let answer = self.exchange(method, path, body, false).await?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if (200..300).contains(&answer.status) { Ok(value) } else { Err(self.refused(told(&value, answer.status))) }
    }

    /// Whoever is refused for having no secret is told where it is looked for.
    fn refused(&self, problem: Problem) -> Problem {
        let rights = [Code::Forbidden, Code::InsufficientScope, Code::Unauthenticated];
        match &self.missing {
            Some(path) if rights.contains(&problem.code) => {
                let why = format!(
                    "there is no operator's secret at {}: the gateway that runs has made its own elsewhere, or it was removed",
                    path.display()
                );
                Problem::new(Code::KeyUnusable, format!("{why} ({})", problem.detail))
            }
            _ => problem,
        }
    }
}

/// Events as they come.
pub(crate) struct Events {
    body: PoolBody,
    parser: Parser,
}

impl Events {
    /// The data of the next event; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Problem> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(serde_json::from_slice(&event.data).unwrap_or_default()));
            }
            let broken = |cause: &dyn std::fmt::Display| {
                Problem::new(Code::GatewayUnreachable, "the connection to the gateway broke").inside(cause)
            };
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(chunk) = frame.map_err(|error| broken(&error))?.into_data() {
                self.parser.feed(chunk)?;
            }
        }
    }
}

/// The gateway's error as a problem of the command.
pub(crate) fn told(value: &Value, status: u16) -> Problem {
    let error = value.get("error");
    let message = error.and_then(|error| error.get("message")).and_then(Value::as_str);
    let details = error.and_then(|error| error.get("details").or_else(|| error.get("data"))).and_then(Value::as_array);
    let own = details.into_iter().flatten().find_map(|detail| detail.pointer("/metadata/code")?.as_str());
    let mut problem = Problem::new(
        own.and_then(Code::parse).unwrap_or(Code::CommandFailed),
        message.map_or_else(|| format!("the gateway answered HTTP {status}"), str::to_owned),
    );
    for violation in details
        .into_iter()
        .flatten()
        .filter_map(|detail| detail.get("fieldViolations"))
        .filter_map(Value::as_array)
        .flatten()
    {
        let text = |name: &str| violation.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        problem = problem.field(text("field"), text("description"));
    }
    problem
}
