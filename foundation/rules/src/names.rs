//! The names that a rule may read, and the walk over a parsed rule that holds it to them.
//!
//! The walk also notes what the rule reads, rewrites `labels["x"]` into the variable `labels.x` (see `facts`), and
//! bounds the cost: at most two loops within each other.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr};
use moongate_core::{Operation, PrincipalKind};

use crate::rule::{Mode, RuleError};

/// What a rule looks at, beyond names that cost nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// The request's parameters: the body must be parsed.
    pub args: bool,
    /// The message's text: the body must be looked into.
    pub text: bool,
    /// The time: a decision must not be kept.
    pub time: bool,
    /// Headers: a decision depends on more than principal, operation and skill.
    pub headers: bool,
    /// Labels, `zone` and `device` among them.
    pub labels: bool,
    /// The operation: it is about those that it names, and not about messages alone.
    pub operation: bool,
}

impl Reads {
    /// What either of two rules reads.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            args: self.args || other.args,
            text: self.text || other.text,
            time: self.time || other.time,
            headers: self.headers || other.headers,
            labels: self.labels || other.labels,
            operation: self.operation || other.operation,
        }
    }
}

/// Loops within loops that a rule may have.
const NESTING: u32 = 2;

const PRINCIPAL: &[&str] = &["id", "kind", "domain", "scopes"];
const SKILL: &[&str] = &["id", "tags", "agent"];
const TIME: &[&str] = &["unix", "hour", "minute", "weekday"];
const NAMES: &[&str] = &[
    "skill",
    "operation",
    "agent",
    "zone",
    "device",
    "labels",
    "headers",
    "principal",
    "domain",
    "args",
    "text",
    "time",
];
const TYPES: &[&str] = &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type", "dyn"];
const FUNCTIONS: &[&str] =
    &["size", "contains", "startsWith", "endsWith", "int", "uint", "double", "string", "bytes", "bool", "type", "dyn"];
const MACROS: &[&str] = &["has", "exists", "all", "exists_one", "map", "filter"];

/// The fields of a name that has a fixed set of them.
fn fields(name: &str, mode: Mode) -> Option<&'static [&'static str]> {
    match name {
        "principal" => Some(PRINCIPAL),
        "time" => Some(TIME),
        "skill" if mode == Mode::Policy => Some(SKILL),
        _ => None,
    }
}

/// The walk over one rule.
pub(crate) struct Walk {
    mode: Mode,
    reads: Reads,
    variables: Vec<String>,
    depth: u32,
    deepest: u32,
}

/// What the walk found out.
pub(crate) struct Found {
    pub(crate) reads: Reads,
    pub(crate) nesting: u32,
}

/// A mistake, and the node that it is in.
pub(crate) type Fault = (String, u64);

impl Walk {
    /// Checks a parsed rule and rewrites it in place.
    pub(crate) fn over(expression: &mut IdedExpr, mode: Mode) -> Result<Found, Fault> {
        let mut walk = Self { mode, reads: Reads::default(), variables: Vec::new(), depth: 0, deepest: 0 };
        walk.expression(expression)?;
        is_a_question(expression, mode)?;
        Ok(Found { reads: walk.reads, nesting: walk.deepest })
    }

    fn expression(&mut self, node: &mut IdedExpr) -> Result<(), Fault> {
        let id = node.id;
        if let Some(name) = member_name(&node.expr) {
            self.note(&name);
            node.expr = Expr::Ident(name);
            return Ok(());
        }
        match &mut node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(name, id),
            Expr::Select(select) => self.select(select, id),
            Expr::Call(call) => self.call(call, id),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, id),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.expression(element)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(pair) => {
                    self.expression(&mut pair.key)?;
                    self.expression(&mut pair.value)
                }
                EntryExpr::StructField(field) => self.expression(&mut field.value),
            }),
            Expr::Struct(_) => Err(("a rule cannot make messages".to_owned(), id)),
        }
    }

    fn ident(&mut self, name: &str, id: u64) -> Result<(), Fault> {
        if name.starts_with('@') || self.variables.iter().any(|variable| variable == name) || TYPES.contains(&name) {
            return Ok(());
        }
        if !NAMES.contains(&name) {
            let hint = nearest(name, NAMES).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let stop = if hint.is_empty() { "." } else { "" };
            return Err((format!("there is no name `{name}`{hint}{stop} The names are {}", listed(NAMES)), id));
        }
        if let Some(fields) = fields(name, self.mode) {
            return Err((format!("`{name}` is not a value of its own; its fields are {}", listed(fields)), id));
        }
        self.note(name);
        Ok(())
    }

    fn select(&mut self, select: &mut SelectExpr, id: u64) -> Result<(), Fault> {
        if let Expr::Ident(name) = &select.operand.expr
            && !self.variables.iter().any(|variable| variable == name)
        {
            if let Some(fields) = fields(name, self.mode) {
                if !fields.contains(&select.field.as_str()) {
                    return Err((
                        format!("`{name}` has no field `{}`; its fields are {}", select.field, listed(fields)),
                        id,
                    ));
                }
                if select.test {
                    return Err((format!("`{name}.{}` is always there; compare it instead", select.field), id));
                }
                self.note(name);
                return Ok(());
            }
            if name == "skill" {
                return Err(("in `match`, `skill` is the id itself: write `skill == \"…\"`".to_owned(), id));
            }
        }
        self.expression(&mut select.operand)
    }

    fn call(&mut self, call: &mut CallExpr, id: u64) -> Result<(), Fault> {
        let name = call.func_name.as_str();
        let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_operator && !FUNCTIONS.contains(&name) {
            let known: Vec<&str> = FUNCTIONS.iter().chain(MACROS).copied().collect();
            let message = match nearest(name, &known) {
                _ if MACROS.contains(&name) => format!("`{name}` is used with the wrong number of arguments"),
                Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
                None => format!("there is no function `{name}`; there are {}", listed(&known)),
            };
            return Err((message, id));
        }
        if let Some(target) = &mut call.target {
            self.expression(target)?;
        }
        for argument in &mut call.args {
            self.expression(argument)?;
        }
        known_words(call, id)
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr, id: u64) -> Result<(), Fault> {
        for variable in std::iter::once(&comprehension.iter_var).chain(&comprehension.iter_var2) {
            if NAMES.contains(&variable.as_str()) {
                return Err((
                    format!("the loop's variable `{variable}` hides the name `{variable}`; call it otherwise"),
                    id,
                ));
            }
        }
        self.expression(&mut comprehension.iter_range)?;
        self.expression(&mut comprehension.accu_init)?;
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth > NESTING {
            return Err((format!("more than {NESTING} loops within each other"), id));
        }
        let before = self.variables.len();
        self.variables.push(comprehension.iter_var.clone());
        self.variables.extend(comprehension.iter_var2.clone());
        self.variables.push(comprehension.accu_var.clone());
        self.expression(&mut comprehension.loop_cond)?;
        self.expression(&mut comprehension.loop_step)?;
        self.expression(&mut comprehension.result)?;
        self.variables.truncate(before);
        self.depth -= 1;
        Ok(())
    }

    fn note(&mut self, name: &str) {
        match name.split('.').next().unwrap_or(name) {
            "args" => self.reads.args = true,
            "text" => self.reads.text = true,
            "time" => self.reads.time = true,
            "headers" => self.reads.headers = true,
            "labels" | "zone" | "device" => self.reads.labels = true,
            "operation" => self.reads.operation = true,
            _ => {}
        }
    }
}

/// `labels.x` and `labels["x"]` as the name of one variable; header names in lower case.
fn member_name(expr: &Expr) -> Option<String> {
    let (map, key) = match expr {
        Expr::Select(select) if !select.test => (&select.operand.expr, select.field.as_str()),
        Expr::Call(call) if call.func_name == "_[_]" => match call.args.as_slice() {
            [map, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }] => (&map.expr, key.inner()),
            _ => return None,
        },
        _ => return None,
    };
    match map {
        Expr::Ident(map) if map == "labels" => Some(format!("labels.{key}")),
        Expr::Ident(map) if map == "headers" => Some(format!("headers.{}", key.to_ascii_lowercase())),
        _ => None,
    }
}

/// A comparison of `operation` or `principal.kind` with a word that it never is.
fn known_words(call: &CallExpr, id: u64) -> Result<(), Fault> {
    if call.func_name != "_==_" && call.func_name != "_!=_" {
        return Ok(());
    }
    let [left, right] = call.args.as_slice() else { return Ok(()) };
    let (name, word) = match (name_of(&left.expr), name_of(&right.expr), literal(&left.expr), literal(&right.expr)) {
        (Some(name), _, _, Some(word)) | (_, Some(name), Some(word), _) => (name, word),
        _ => return Ok(()),
    };
    let words: Vec<&str> = match name.as_str() {
        "operation" => Operation::ALL.iter().map(|operation| operation.as_str()).collect(),
        "principal.kind" => {
            use PrincipalKind::{Agent, Gateway, Operator, User};
            [User, Agent, Gateway, Operator].iter().map(|kind| kind.as_str()).collect()
        }
        _ => return Ok(()),
    };
    if words.contains(&word) {
        return Ok(());
    }
    let hint = nearest(word, &words).map_or_else(String::new, |near| format!("did you mean \"{near}\"? "));
    Err((format!("`{name}` is never \"{word}\"; {hint}it is one of {}", words.join(", ")), id))
}

/// The dotted name that an expression is.
pub(crate) fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", name_of(&select.operand.expr)?, select.field)),
        _ => None,
    }
}

/// The text that an expression is.
pub(crate) fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Refuses what can never be yes or no.
fn is_a_question(expression: &IdedExpr, mode: Mode) -> Result<(), Fault> {
    let other = match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => false,
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => true,
        Expr::Call(call) => {
            matches!(
                call.func_name.as_str(),
                "_+_"
                    | "_-_"
                    | "_*_"
                    | "_/_"
                    | "_%_"
                    | "-_"
                    | "size"
                    | "string"
                    | "int"
                    | "uint"
                    | "double"
                    | "bytes"
                    | "type"
            )
        }
        Expr::Ident(name) => !name.starts_with('@'),
        Expr::Select(select) => {
            let root = name_of(&select.operand.expr);
            !select.test && root.is_some_and(|root| fields(&root, mode).is_some())
        }
        Expr::Comprehension(_) => false,
    };
    if other {
        Err(("a rule is a question: its answer must be true or false".to_owned(), expression.id))
    } else {
        Ok(())
    }
}

/// The word that was probably meant.
pub(crate) fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let far = (word.chars().count() / 3).clamp(1, 3);
    words
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase()), *known))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl From<String> for RuleError {
    fn from(message: String) -> Self {
        Self { message, offset: None }
    }
}
