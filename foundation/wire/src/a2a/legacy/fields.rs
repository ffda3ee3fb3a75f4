//! Reading an object member by member: where we stand, what is wrong there, and what is left over.
//!
//! Both versions' readers accept `taskId` and `task_id` (ProtoJSON demands it, the 0.3 models of the Python SDK allow
//! it). Both spellings in one object are refused: two readers could choose differently. `null` means absent.

use moongate_core::{Code, Problem};
use serde_json::{Map, Value};

use super::Style;

/// Where in the document we are; knows how to complain about it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    code: Code,
    style: Style,
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The params of a request: what is wrong is the caller's fault.
    pub(super) fn request(style: Style) -> Self {
        Self { code: Code::InvalidParams, style, parent: None, step: Step::Root }
    }

    /// An answer or event: what is wrong is the agent's fault.
    pub(super) fn answer(style: Style) -> Self {
        Self { code: Code::AgentGarbage, style, parent: None, step: Step::Root }
    }

    pub(super) fn member<'b>(&'b self, name: &'b str) -> At<'b> {
        At { code: self.code, style: self.style, parent: Some(self), step: Step::Member(name) }
    }

    pub(super) fn index<'b>(&'b self, index: usize) -> At<'b> {
        At { code: self.code, style: self.style, parent: Some(self), step: Step::Index(index) }
    }

    /// The style of the 0.3 side.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Whether an absent member means its default, as in ProtoJSON.
    pub(super) fn absent_is_default(&self) -> bool {
        self.style == Style::Proto
    }

    pub(super) fn path(&self) -> String {
        let mut path = self.parent.map(At::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Member(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
        path
    }

    /// What is here is wrong; `what` goes on the sentence that begins with the path.
    pub(super) fn wrong(&self, what: &str) -> Problem {
        let path = self.path();
        let subject = if path.is_empty() { "the object" } else { path.as_str() };
        Problem::new(self.code, format!("{subject} {what}")).field(path, what)
    }
}

/// An object whose members are taken one by one.
pub(super) struct Fields<'a> {
    map: Map<String, Value>,
    at: At<'a>,
    snakes: bool,
}

impl<'a> Fields<'a> {
    /// Opens an object.
    pub(super) fn open(value: Value, at: At<'a>) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => {
                let snakes = map.keys().any(|key| key.contains('_'));
                Ok(Self { map, at, snakes })
            }
            _ => Err(at.wrong("must be an object")),
        }
    }

    /// Opens params that may be left out altogether.
    pub(super) fn open_or_empty(value: Value, at: At<'a>) -> Result<Self, Problem> {
        Self::open(if value.is_null() { Value::Object(Map::new()) } else { value }, at)
    }

    /// A member, under either spelling.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<Value>, Problem> {
        Ok(self.take_even_null(name)?.filter(|value| !value.is_null()))
    }

    /// A member for which `null` is a value of its own.
    pub(super) fn take_even_null(&mut self, name: &str) -> Result<Option<Value>, Problem> {
        let plain = self.map.shift_remove(name);
        if !self.snakes {
            return Ok(plain);
        }
        let snake = snake(name).and_then(|snake| self.map.shift_remove(&snake));
        match (plain, snake) {
            (Some(_), Some(_)) => Err(self.at.member(name).wrong("appears in two spellings")),
            (plain, snake) => Ok(plain.or(snake)),
        }
    }

    /// A member that has several names.
    pub(super) fn take_any(&mut self, names: &[&str]) -> Result<Option<Value>, Problem> {
        let mut found = None;
        for name in names {
            if let Some(value) = self.take(name)? {
                if found.is_some() {
                    return Err(self.at.member(name).wrong("says again what another member says"));
                }
                found = Some(value);
            }
        }
        Ok(found)
    }

    /// An optional string; empty means absent, as in Protobuf.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(self.at.member(name).wrong("must be a string")),
        }
    }

    /// A string that must be there, except where absent means empty.
    pub(super) fn key(&mut self, name: &str) -> Result<String, Problem> {
        match self.take(name)? {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.at.member(name).wrong("must be a string")),
            None if self.at.absent_is_default() => Ok(String::new()),
            None => Err(self.at.member(name).wrong("is required")),
        }
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.take(name)? {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.at.member(name).wrong("must be true or false")),
        }
    }

    /// An int32; ProtoJSON also allows it in quotes.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i32>, Problem> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number.and_then(|number| i32::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.at.member(name).wrong("must be a whole number of 32 bits")),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, Problem> {
        match self.take(name)? {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.at.member(name).wrong("must be an object")),
        }
    }

    /// A list; absent means empty.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Problem> {
        let at = self.at;
        as_list(self.take(name)?, &at.member(name))
    }

    /// A list of strings; absent means empty.
    pub(super) fn strings(&mut self, name: &str) -> Result<Vec<Value>, Problem> {
        let list = self.list(name)?;
        let at = self.at.member(name);
        for (index, item) in list.iter().enumerate() {
            if !item.is_string() {
                return Err(at.index(index).wrong("must be a string"));
            }
        }
        Ok(list)
    }

    /// Takes the discriminator `kind`, which must say `expected` if it is there.
    pub(super) fn kind(&mut self, expected: &str) -> Result<(), Problem> {
        match self.take("kind")? {
            None => Ok(()),
            Some(Value::String(kind)) if kind == expected => Ok(()),
            Some(_) => Err(self.at.member("kind").wrong(&format!("must be \"{expected}\""))),
        }
    }

    /// Whether there is such a member, `null` or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub(super) fn at(&self) -> At<'a> {
        self.at
    }

    /// The members that nobody took.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.map
    }
}

/// A list out of an optional value.
pub(super) fn as_list(value: Option<Value>, at: &At<'_>) -> Result<Vec<Value>, Problem> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(at.wrong("must be a list")),
    }
}

/// Converts each item of a list, with its index in the path.
pub(super) fn each(
    list: Vec<Value>,
    at: &At<'_>,
    convert: impl Fn(Value, At<'_>) -> Result<Value, Problem>,
) -> Result<Vec<Value>, Problem> {
    list.into_iter().enumerate().map(|(index, item)| convert(item, at.index(index))).collect()
}

/// Building the object that goes out.
pub(super) trait Put {
    /// Sets a member if there is something to say.
    fn put(&mut self, name: &str, value: Option<impl Into<Value>>);
    /// Sets a list unless it is empty.
    fn put_list(&mut self, name: &str, list: Vec<Value>);
    /// Adds members that we know nothing of, without overwriting.
    fn put_rest(&mut self, rest: Map<String, Value>);
}

impl Put for Map<String, Value> {
    fn put(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.insert(name.to_owned(), value.into());
        }
    }

    fn put_list(&mut self, name: &str, list: Vec<Value>) {
        if !list.is_empty() {
            self.insert(name.to_owned(), Value::Array(list));
        }
    }

    fn put_rest(&mut self, rest: Map<String, Value>) {
        for (name, value) in rest {
            if !self.contains_key(&name) {
                self.insert(name, value);
            }
        }
    }
}

/// `taskId` as `task_id`; nothing if that is the same.
fn snake(name: &str) -> Option<String> {
    if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    Some(snake)
}

/// `task_id` as `taskId`.
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            camel.extend(character.to_uppercase());
        } else {
            camel.push(character);
        }
    }
    camel
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be a whole number of moderate size")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_names_members_and_indexes() {
        let root = At::request(Style::Kind);
        let message = root.member("message");
        let parts = message.member("parts");
        assert_eq!(parts.index(3).path(), "message.parts[3]");
    }

    #[test]
    fn both_spellings_are_read_but_not_at_once() {
        let at = At::request(Style::Proto);
        let mut fields = Fields::open(json!({"task_id": "a"}), at).unwrap();
        assert_eq!(fields.text("taskId").unwrap().as_deref(), Some("a"));
        let mut fields = Fields::open(json!({"task_id": "a", "taskId": "b"}), at).unwrap();
        assert_eq!(fields.text("taskId").unwrap_err().fields[0].field, "taskId");
    }

    #[test]
    fn spellings_convert_both_ways() {
        assert_eq!(snake("pushNotificationConfigId").as_deref(), Some("push_notification_config_id"));
        assert_eq!(camel("push_notification_config_id"), "pushNotificationConfigId");
        assert_eq!(snake("id"), None);
    }
}
