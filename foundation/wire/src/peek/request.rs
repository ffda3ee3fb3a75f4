//! Requests: the JSON-RPC envelope, and the parameters of every operation.

use moongate_core::problem::FieldViolation;
use moongate_core::{Code, Problem};

use super::names::{Seen, names};
use super::{Located, Params, RequestPeek, Role, Routing, RpcId, SKILL_ROUTING, TEXT_BYTES};
use crate::json::keys::Names;
use crate::json::scan::{Kind, Scan, Scanner};
use crate::json::text::{Text, characters};
use crate::json::{Fault, Limits, Span};

/// More violations than this are not told.
const MANY: usize = 16;

/// More labels than this are wrong.
const LABELS: usize = 64;

/// Looks at a JSON-RPC request: one object, no batch.
///
/// With `want_text` the message's text is kept as well.
///
/// # Errors
/// `BodyNotUtf8`, `BodyNotJson`, `TooDeep`, `DuplicateKey`; `BatchRefused` for an array, `NotARequest` for anything else
/// that is no object or has an `id` of another type than string, number or null; `InvalidParams` for a member that must
/// be spelled otherwise. Wrong values are in [`Params::wrong`] instead.
pub fn request(body: &[u8], limits: &Limits, want_text: bool) -> Result<RequestPeek, Problem> {
    let run = || {
        let mut scanner = Scanner::new(body, limits)?;
        match scanner.kind()? {
            Kind::Object => {}
            Kind::Array => return scanner.refuse(Code::BatchRefused, "the body is an array of requests"),
            _ => return scanner.refuse(Code::NotARequest, "the body is no JSON object"),
        }
        let mut learner = Learner::new(limits, want_text);
        let mut peek = RequestPeek::default();
        let mut seen = Seen::default();
        scanner.object(Names::Folded, |scanner, key| {
            match seen.strictly(key)? {
                Some(Envelope::Jsonrpc) => match scanner.kind()? {
                    Kind::String => peek.jsonrpc_ok = scanner.string()?.read() == "2.0",
                    _ => drop(scanner.value()?),
                },
                Some(Envelope::Id) => peek.id = id(scanner)?,
                Some(Envelope::Method) => match scanner.kind()? {
                    Kind::String => peek.method = Some(scanner.string()?.read().into()),
                    _ => drop(scanner.value()?),
                },
                Some(Envelope::Params) => {
                    if learner.is_object(scanner, "params")? {
                        peek.params = Some(learner.params(scanner)?);
                    }
                }
                None => drop(scanner.value()?),
            }
            Ok(())
        })?;
        scanner.finish()?;
        peek.members = learner.finish();
        Ok(peek)
    };
    run().map_err(|fault: Box<Fault>| fault.problem(body))
}

/// Looks at a body that is itself the parameters, as in HTTP+JSON.
///
/// # Errors
/// As [`request`]; `NotARequest` for anything that is no object.
pub fn params(body: &[u8], limits: &Limits, want_text: bool) -> Result<Params, Problem> {
    let run = || {
        let mut scanner = Scanner::new(body, limits)?;
        if scanner.kind()? != Kind::Object {
            return scanner.refuse(Code::NotARequest, "the body is no JSON object");
        }
        let mut learner = Learner::new(limits, want_text);
        learner.params(&mut scanner)?;
        scanner.finish()?;
        Ok(learner.finish())
    };
    run().map_err(|fault: Box<Fault>| fault.problem(body))
}

names! { Envelope { Jsonrpc = "jsonrpc", Id = "id", Method = "method", Params = "params", } }

names! {
    Parameter {
        Tenant = "tenant",
        Id = "id",
        TaskId = "taskId" | "task_id",
        Name = "name" | "parent",
        Message = "message" | "request",
        Configuration = "configuration",
        HistoryLength = "historyLength" | "history_length",
    }
}

names! {
    Configuration {
        ReturnImmediately = "returnImmediately" | "return_immediately",
        Blocking = "blocking",
        HistoryLength = "historyLength" | "history_length",
        Push = "taskPushNotificationConfig" | "task_push_notification_config" | "pushNotificationConfig"
            | "push_notification_config" | "pushNotification" | "push_notification",
    }
}

names! {
    Message {
        Id = "messageId" | "message_id",
        TaskId = "taskId" | "task_id",
        ContextId = "contextId" | "context_id",
        References = "referenceTaskIds" | "reference_task_ids",
        Role = "role",
        Parts = "parts",
        Content = "content",
        Metadata = "metadata",
    }
}

names! { Part { Text = "text", } }

names! { Route { SkillId = "skillId" | "skill_id", Zone = "zone", Labels = "labels", Intent = "intent", } }

pub(super) fn id(scanner: &mut Scanner<'_>) -> Scan<RpcId> {
    match scanner.kind()? {
        Kind::String | Kind::Number | Kind::Null => scanner.value().map(RpcId::Raw),
        _ => Err(Fault::Shape(Code::NotARequest, "the id is no string, number or null").into()),
    }
}

/// What has been learned so far.
struct Learner {
    known: Params,
    query_history: Option<i64>,
    text: Option<String>,
    text_full: bool,
    wrong: Vec<FieldViolation>,
    limits: Limits,
}

impl Learner {
    fn new(limits: &Limits, want_text: bool) -> Self {
        Self {
            known: Params::default(),
            query_history: None,
            text: want_text.then(String::new),
            text_full: false,
            wrong: Vec::new(),
            limits: *limits,
        }
    }

    fn finish(self) -> Params {
        let Self { mut known, query_history, text, mut wrong, limits, .. } = self;
        known.history_length = known.history_length.or(query_history);
        known.text = text.map(Into::into);
        let problem = if known.parts > limits.parts {
            let detail = format!("the message has {} parts, the limit is {}", known.parts, limits.parts);
            wrong.push(FieldViolation { field: "message.parts".into(), description: detail.clone() });
            Some(Problem::new(Code::TooManyParts, detail))
        } else {
            let first = wrong.first().map(|first| format!("{}: {}", first.field, first.description));
            first.map(|detail| Problem::new(Code::InvalidParams, detail))
        };
        known.wrong = problem.map(|mut problem| {
            problem.fields = wrong;
            Box::new(problem)
        });
        known
    }

    fn complain(&mut self, field: &str, description: &str) {
        if self.wrong.len() < MANY {
            self.wrong.push(FieldViolation { field: field.into(), description: description.into() });
        }
    }

    /// Skips a value of the wrong kind and complains, unless it is `null`.
    fn mismatch(&mut self, scanner: &mut Scanner<'_>, field: &str, wanted: &str) -> Scan<()> {
        if scanner.kind()? != Kind::Null {
            self.complain(field, wanted);
        }
        scanner.value().map(drop)
    }

    /// Whether an object follows; if not, what follows has been consumed.
    fn is_object(&mut self, scanner: &mut Scanner<'_>, field: &str) -> Scan<bool> {
        if scanner.kind()? == Kind::Object {
            return Ok(true);
        }
        self.mismatch(scanner, field, "must be an object")?;
        Ok(false)
    }

    fn string<'a>(&mut self, scanner: &mut Scanner<'a>, field: &str) -> Scan<Option<Text<'a>>> {
        if scanner.kind()? == Kind::String {
            return scanner.string().map(Some);
        }
        self.mismatch(scanner, field, "must be a string")?;
        Ok(None)
    }

    /// A string that names something, so that an empty one is none.
    fn located(&mut self, scanner: &mut Scanner<'_>, field: &str) -> Scan<Option<Located>> {
        let text = self.string(scanner, field)?.filter(|text| !text.raw.is_empty());
        Ok(text.map(|text| (text.read().into(), text.span())))
    }

    fn flag(&mut self, scanner: &mut Scanner<'_>, field: &str) -> Scan<Option<bool>> {
        match scanner.kind()? {
            Kind::True => scanner.value().map(|_| Some(true)),
            Kind::False => scanner.value().map(|_| Some(false)),
            _ => self.mismatch(scanner, field, "must be true or false").map(|()| None),
        }
    }

    /// A whole number, zero or more; ProtoJSON allows it to be a string.
    fn count(&mut self, scanner: &mut Scanner<'_>, field: &str, body: &str) -> Scan<Option<i64>> {
        let number: Option<i64> = match scanner.kind()? {
            Kind::Number => scanner.value()?.as_str(body.as_bytes()).parse().ok(),
            Kind::String => scanner.string()?.read().parse().ok(),
            _ => return self.mismatch(scanner, field, "must be a whole number").map(|()| None),
        };
        match number {
            Some(0..=0x7fff_ffff) => {}
            Some(_) => self.complain(field, "must be zero or more, and fit into 32 bits"),
            None => self.complain(field, "must be a whole number"),
        }
        Ok(number)
    }

    fn params(&mut self, scanner: &mut Scanner<'_>) -> Scan<Span> {
        let mut seen = Seen::default();
        let body = scanner.source();
        scanner.object(Names::Folded, |scanner, key| {
            match seen.strictly(key)? {
                Some(Parameter::Tenant) => self.known.tenant = self.located(scanner, "tenant")?,
                Some(Parameter::Id) => self.known.id = self.located(scanner, "id")?,
                Some(Parameter::TaskId) => self.known.task_id = self.located(scanner, "taskId")?,
                Some(Parameter::Name) => self.known.name = self.located(scanner, "name")?,
                Some(Parameter::HistoryLength) => self.query_history = self.count(scanner, "historyLength", body)?,
                Some(Parameter::Message) => {
                    if self.is_object(scanner, "message")? {
                        self.known.message = Some(self.message(scanner)?);
                    }
                }
                Some(Parameter::Configuration) => {
                    if self.is_object(scanner, "configuration")? {
                        self.configuration(scanner)?;
                    }
                }
                None => drop(scanner.value()?),
            }
            Ok(())
        })
    }

    fn configuration(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        let mut seen = Seen::default();
        let body = scanner.source();
        let span = scanner.object(Names::Folded, |scanner, key| {
            match seen.strictly(key)? {
                Some(Configuration::ReturnImmediately) => {
                    self.known.return_immediately = self.flag(scanner, "configuration.returnImmediately")?;
                }
                Some(Configuration::Blocking) => self.known.blocking = self.flag(scanner, "configuration.blocking")?,
                Some(Configuration::HistoryLength) => {
                    self.known.history_length = self.count(scanner, "configuration.historyLength", body)?;
                }
                Some(Configuration::Push) => {
                    if self.is_object(scanner, "configuration.taskPushNotificationConfig")? {
                        self.known.push_config = Some(scanner.value()?);
                    }
                }
                None => drop(scanner.value()?),
            }
            Ok(())
        });
        span.map(drop)
    }

    fn message(&mut self, scanner: &mut Scanner<'_>) -> Scan<Span> {
        let mut seen = Seen::default();
        scanner.object(Names::Folded, |scanner, key| {
            match seen.strictly(key)? {
                Some(Message::Id) => {
                    let id = self.string(scanner, "message.messageId")?;
                    self.known.message_id_present = id.is_some_and(|id| !id.raw.is_empty());
                }
                Some(Message::TaskId) => {
                    self.known.message_task_id = self.located(scanner, "message.taskId")?;
                }
                Some(Message::ContextId) => {
                    self.known.message_context_id = self.located(scanner, "message.contextId")?;
                }
                Some(Message::References) => self.references(scanner)?,
                Some(Message::Role) => self.role(scanner)?,
                Some(Message::Parts | Message::Content) => self.parts(scanner)?,
                Some(Message::Metadata) => self.metadata(scanner)?,
                None => drop(scanner.value()?),
            }
            Ok(())
        })
    }

    fn references(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        const FIELD: &str = "message.referenceTaskIds";
        if scanner.kind()? != Kind::Array {
            return self.mismatch(scanner, FIELD, "must be an array of strings");
        }
        let span = scanner.array(|scanner| {
            if scanner.kind()? != Kind::String {
                self.complain(FIELD, "must be an array of strings");
                return scanner.value().map(drop);
            }
            if self.known.reference_task_ids.len() >= self.limits.parts as usize {
                self.complain(FIELD, "has too many elements");
                return scanner.value().map(drop);
            }
            let reference = self.located(scanner, FIELD)?;
            self.known.reference_task_ids.extend(reference);
            Ok(())
        });
        span.map(drop)
    }

    fn role(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        let body = scanner.source();
        let role = match scanner.kind()? {
            Kind::String => role(&scanner.string()?.read()),
            Kind::Number => role(scanner.value()?.as_str(body.as_bytes())),
            _ => return self.mismatch(scanner, "message.role", "must be ROLE_USER or ROLE_AGENT"),
        };
        if role.is_none() {
            self.complain("message.role", "must be ROLE_USER or ROLE_AGENT");
        }
        self.known.role = role;
        Ok(())
    }

    fn parts(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        if scanner.kind()? != Kind::Array {
            return self.mismatch(scanner, "message.parts", "must be an array");
        }
        let span = scanner.array(|scanner| {
            self.known.parts = self.known.parts.saturating_add(1);
            if scanner.kind()? != Kind::Object {
                self.complain("message.parts", "must be an array of objects");
                return scanner.value().map(drop);
            }
            let mut seen = Seen::default();
            let part = scanner.object(Names::Folded, |scanner, key| match seen.strictly(key)? {
                Some(Part::Text) => {
                    if let Some(text) = self.string(scanner, "message.parts.text")? {
                        self.collect(&text);
                    }
                    Ok(())
                }
                None => scanner.value().map(drop),
            });
            part.map(drop)
        });
        span.map(drop)
    }

    /// Adds a text to what is kept, on a line of its own, up to the limit.
    fn collect(&mut self, text: &Text<'_>) {
        let Some(kept) = self.text.as_mut().filter(|_| !self.text_full) else { return };
        let line = (!kept.is_empty()).then_some('\n');
        for c in line.into_iter().chain(characters(text.raw)) {
            if kept.len() + c.len_utf8() > TEXT_BYTES {
                self.text_full = true;
                return;
            }
            kept.push(c);
        }
    }

    fn metadata(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        if !self.is_object(scanner, "message.metadata")? {
            return Ok(());
        }
        let span = scanner.object(Names::Exact, |scanner, key| {
            if key.read() != SKILL_ROUTING {
                return scanner.value().map(drop);
            }
            if self.is_object(scanner, SKILL_ROUTING)? {
                self.known.routing = Some(self.routing(scanner)?);
            }
            Ok(())
        });
        span.map(drop)
    }

    fn routing(&mut self, scanner: &mut Scanner<'_>) -> Scan<Routing> {
        let mut routing = Routing::default();
        let mut seen = Seen::default();
        scanner.object(Names::Folded, |scanner, key| {
            match seen.strictly(key)? {
                Some(Route::SkillId) => routing.skill_id = self.located(scanner, "skillId")?.map(|(text, _)| text),
                Some(Route::Zone) => routing.zone = self.located(scanner, "zone")?.map(|(text, _)| text),
                Some(Route::Intent) => routing.intent = self.flag(scanner, "intent")?.unwrap_or_default(),
                Some(Route::Labels) => {
                    if self.is_object(scanner, "labels")? {
                        scanner.object(Names::Exact, |scanner, name| {
                            if routing.labels.len() >= LABELS {
                                self.complain("labels", "has too many members");
                                return scanner.value().map(drop);
                            }
                            let value = self.string(scanner, "labels")?;
                            routing.labels.extend(value.map(|value| (name.read().into(), value.read().into())));
                            Ok(())
                        })?;
                    }
                }
                None => drop(scanner.value()?),
            }
            Ok(())
        })?;
        Ok(routing)
    }
}

fn role(text: &str) -> Option<Role> {
    match text {
        "ROLE_USER" | "user" | "1" => Some(Role::User),
        "ROLE_AGENT" | "agent" | "2" => Some(Role::Agent),
        _ => None,
    }
}
