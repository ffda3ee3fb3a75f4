//! Paths → operations.

use moongate_core::{Code, Operation, Problem};
use serde_json::{Map, Value};

use super::query::{self, wrong};
use super::{HttpCall, Source, percent};
use crate::a2a::Version;
use crate::a2a::operation::messages;
use crate::a2a::schema::v1;

/// Reads a request's method, its path below the base, and its query.
///
/// # Errors
/// [`Code::NoSuchPath`], [`Code::HttpMethodNotAllowed`] with the methods that would fit, or [`Code::InvalidParams`] for
/// a query parameter of the wrong type.
pub fn parse(method: &str, path_after_base: &str, query: Option<&str>) -> Result<HttpCall, Problem> {
    let path = path_after_base.strip_prefix('/').ok_or_else(nothing)?;
    let segments: Vec<&str> = path.split('/').collect();
    let (tenant, place) = match segments.as_slice() {
        ["v1", rest @ ..] => (None, place_v03(rest)?),
        rest => match place_v1(rest)? {
            Some(place) => (None, place),
            None => {
                let (tenant, rest) = rest.split_first().ok_or_else(nothing)?;
                let tenant = decode("tenant", tenant)?;
                (Some(tenant), place_v1(rest)?.ok_or_else(nothing)?)
            }
        },
    };
    call(method, place, tenant, query)
}

/// What a path names: a resource, without the method.
struct Resource {
    version: Version,
    task: Option<String>,
    config: Option<String>,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    MessageSend,
    MessageStream,
    Tasks,
    Task,
    Cancel,
    Pause,
    Resume,
    Subscribe,
    Configs,
    Config,
    Card,
}

fn place_v1(segments: &[&str]) -> Result<Option<Resource>, Problem> {
    place(Version::V1, segments, "extendedAgentCard")
}

fn place_v03(segments: &[&str]) -> Result<Resource, Problem> {
    place(Version::V03, segments, "card")?.ok_or_else(nothing)
}

fn place(version: Version, segments: &[&str], card: &str) -> Result<Option<Resource>, Problem> {
    let plain = |what| Ok(Some(Resource { version, task: None, config: None, what }));
    let of_task = |id: &str, what| Ok(Some(Resource { version, task: Some(decode("id", id)?), config: None, what }));
    match segments {
        ["message:send"] => plain(What::MessageSend),
        ["message:stream"] => plain(What::MessageStream),
        ["tasks"] => plain(What::Tasks),
        [name] if *name == card => plain(What::Card),
        ["tasks", last] => match last.rsplit_once(':') {
            Some((id, "cancel")) => of_task(id, What::Cancel),
            Some((id, "pause")) if version == Version::V1 => of_task(id, What::Pause),
            Some((id, "resume")) if version == Version::V1 => of_task(id, What::Resume),
            Some((id, "subscribe")) => of_task(id, What::Subscribe),
            _ => of_task(last, What::Task),
        },
        ["tasks", id, "subscribe"] => of_task(id, What::Subscribe),
        ["tasks", id, configs] if is_configs(version, configs) => of_task(id, What::Configs),
        ["tasks", id, configs, config] if is_configs(version, configs) => Ok(Some(Resource {
            version,
            task: Some(decode("taskId", id)?),
            config: Some(decode("id", config)?),
            what: What::Config,
        })),
        _ => Ok(None),
    }
}

/// 0.2.2 to 0.2.4 said `pushNotifications`.
fn is_configs(version: Version, segment: &str) -> bool {
    segment == "pushNotificationConfigs" || (version == Version::V03 && segment == "pushNotifications")
}

fn call(method: &str, place: Resource, tenant: Option<String>, query: Option<&str>) -> Result<HttpCall, Problem> {
    let draft = place.version == Version::V1 && matches!(place.what, What::Tasks) && method == "POST";
    let operation = match (place.what, method) {
        (What::MessageSend, "POST") => Operation::Send,
        (What::MessageStream, "POST") => Operation::Stream,
        (What::Tasks, "GET") => Operation::List,
        (What::Tasks, "POST") if draft => Operation::Send,
        (What::Task, "GET") => Operation::Get,
        (What::Cancel, "POST") => Operation::Cancel,
        (What::Pause, "POST") => Operation::Pause,
        (What::Resume, "POST") => Operation::Resume,
        (What::Subscribe, "GET" | "POST") => Operation::Subscribe,
        (What::Configs, "POST") => Operation::PushCreate,
        (What::Configs, "GET") => Operation::PushList,
        (What::Config, "GET") => Operation::PushGet,
        (What::Config, "DELETE") => Operation::PushDelete,
        (What::Card, "GET") => Operation::ExtendedCard,
        (what, _) => return Err(not_allowed(method, what, place.version)),
    };
    let version = place.version;
    let members = members(operation, place, tenant);
    let source = match operation {
        Operation::Send | Operation::Stream if members.is_empty() => Source::Body,
        Operation::Send
        | Operation::Stream
        | Operation::Cancel
        | Operation::Pause
        | Operation::Resume
        | Operation::PushCreate => Source::BodyPlus(members),
        _ => {
            let mut members = members;
            // 0.3 has no message for listing tasks; its parameters are read as those of 1.0.
            let schema = messages(operation, version).map_or(&v1::LIST_TASKS_REQUEST, |messages| messages.request);
            query::read(schema, query.unwrap_or_default(), &mut members)?;
            Source::Query(Value::Object(members))
        }
    };
    Ok(HttpCall { operation, version, source, draft })
}

/// The members that the path gives, under the names of the version's request.
fn members(operation: Operation, place: Resource, tenant: Option<String>) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value: String| drop(members.insert(name.to_owned(), Value::String(value)));
    if let Some(tenant) = tenant {
        put("tenant", tenant);
    }
    let on_configs = matches!(operation, Operation::PushCreate | Operation::PushList);
    match (place.version, place.task, place.config) {
        (_, None, _) => {}
        (Version::V1, Some(task), None) if on_configs => put("taskId", task),
        (Version::V1, Some(task), None) => put("id", task),
        (Version::V1, Some(task), Some(config)) => {
            put("taskId", task);
            put("id", config);
        }
        (Version::V03, Some(task), None) if on_configs => put("parent", format!("tasks/{task}")),
        (Version::V03, Some(task), None) => put("name", format!("tasks/{task}")),
        (Version::V03, Some(task), Some(config)) => {
            put("name", format!("tasks/{task}/pushNotificationConfigs/{config}"));
        }
    }
    members
}

fn decode(name: &str, segment: &str) -> Result<String, Problem> {
    let text = percent::decode(segment, false)
        .ok_or_else(|| wrong(name, "has a broken percent-escape or is not UTF-8 in the path"))?;
    if text.is_empty() { Err(nothing()) } else { Ok(text) }
}

fn nothing() -> Problem {
    Problem::new(Code::NoSuchPath, "there is nothing at this path")
}

fn not_allowed(method: &str, what: What, version: Version) -> Problem {
    let fitting = match what {
        What::MessageSend | What::MessageStream | What::Cancel | What::Pause | What::Resume => "POST",
        What::Tasks if version == Version::V1 => "GET or POST",
        What::Tasks | What::Task | What::Card => "GET",
        What::Subscribe | What::Configs => "GET or POST",
        What::Config => "GET or DELETE",
    };
    // The method is a stranger's word; a known one is worth repeating.
    let method = match method {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
        _ => "this method",
    };
    Problem::new(Code::HttpMethodNotAllowed, format!("{method} does not fit this path: use {fitting}"))
}
