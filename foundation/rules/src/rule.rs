//! One rule: its text, the compiled form, and what it answers.

use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, IdedExpr, ParseErrors, Value};

use crate::facts::{Facts, Scope};
use crate::names::{Found, Reads, Walk};
use crate::plain::Plain;
use crate::set::Anchor;

/// What a rule is for, which decides what `skill` is in it and what a missing member means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Routing: `skill` is the id that was asked for. A member that `args` lacks makes the rule not match.
    Match,
    /// Policy: `skill` has `id`, `tags` and `agent`. A member that `args` lacks is an error, and an error never opens
    /// a door: write `has(args.x) && …`.
    Policy,
}

/// Why a rule does not compile, or could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// What is wrong. Never holds a value of a request.
    pub message: String,
    /// Where in the rule's text, in bytes.
    pub offset: Option<usize>,
}

/// The longest rule, in bytes.
const LONGEST: usize = 4096;
/// The most values that `args` may hold for a rule without nested loops, and for one with them.
const NODES: [usize; 2] = [10_000, 1_000];

static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A compiled rule. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rule {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    text: Box<str>,
    mode: Mode,
    expression: IdedExpr,
    reads: Reads,
    nodes: usize,
    anchor: Anchor,
    plain: Option<Plain>,
}

impl Rule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// What is wrong with it and where: syntax, names and functions that do not exist, words that an operation never
    /// is, an answer that is not true or false, more than two loops within each other, more than 4096 bytes.
    pub fn compile(text: &str, mode: Mode) -> Result<Self, RuleError> {
        if text.len() > LONGEST {
            return Err(format!("the rule has {} bytes; {LONGEST} are allowed", text.len()).into());
        }
        if text.trim().is_empty() {
            return Err("the rule is empty; `true` matches everything".to_owned().into());
        }
        let program = STANDARD.compile(text).map_err(|errors| syntax(text, &errors))?;
        let mut expression = program.expression().clone();
        let Found { reads, nesting } = Walk::over(&mut expression, mode).map_err(|(message, node)| {
            let start = program.source_info().offset_for(node).map(|(start, _)| start as usize);
            RuleError { message, offset: start.filter(|start| text.is_char_boundary(*start)) }
        })?;
        let [plain, nested] = NODES;
        let nodes = if nesting > 1 { nested } else { plain };
        let anchor = Anchor::of(&expression);
        let plain = Plain::of(&expression, mode);
        Ok(Self { inner: Arc::new(Inner { text: text.into(), mode, expression, reads, nodes, anchor, plain }) })
    }

    /// What the rule looks at.
    pub fn reads(&self) -> &Reads {
        &self.inner.reads
    }

    /// The rule as it was written.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// What it was compiled for.
    pub fn mode(&self) -> Mode {
        self.inner.mode
    }

    /// Whether it holds for a request.
    ///
    /// # Errors
    /// When it cannot be answered: values of types that cannot be compared, more in `args` than a rule may look at and,
    /// in [`Mode::Policy`], a member that `args` lacks.
    pub fn matches(&self, facts: &Facts<'_>) -> Result<bool, RuleError> {
        let scope = Scope::new(facts, self.inner.mode, self.inner.nodes);
        self.answer(&scope)
    }

    pub(crate) fn answer(&self, scope: &Scope<'_>) -> Result<bool, RuleError> {
        match &self.inner.plain {
            Some(plain) => Ok(plain.holds(scope)),
            None => self.interpreted(scope),
        }
    }

    #[cfg(test)]
    pub(crate) fn is_plain(&self) -> bool {
        self.inner.plain.is_some()
    }

    /// Asks the interpreter.
    pub(crate) fn interpreted(&self, scope: &Scope<'_>) -> Result<bool, RuleError> {
        let mut context = Context::with_env(Arc::clone(&STANDARD));
        context.set_variable_resolver(scope);
        let answer = match Value::resolve_val(&self.inner.expression, &context) {
            Ok(value) => Ok(value.downcast_ref::<CelBool>().map(|answer| *answer.inner())),
            Err(error) => Err(error),
        };
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("the answer is neither true nor false".to_owned().into()),
            Err(_) if scope.too_large() => {
                Err(format!("the request has more than {} values, too many for this rule", self.inner.nodes).into())
            }
            Err(ExecutionError::NoSuchKey(_)) if self.inner.mode == Mode::Match => Ok(false),
            Err(error) => Err(spoken(&error).into()),
        }
    }

    pub(crate) fn anchor(&self) -> &Anchor {
        &self.inner.anchor
    }

    pub(crate) fn nodes(&self) -> usize {
        self.inner.nodes
    }
}

/// The first mistake of syntax, without the parser's list of everything that it would have taken instead.
fn syntax(text: &str, errors: &ParseErrors) -> RuleError {
    let Some(first) = errors.errors.first() else {
        return "the rule is not valid CEL".to_owned().into();
    };
    let message = first.msg.trim_start_matches("Syntax error: ");
    let message = match message.split_once(" expecting {") {
        Some((found, _)) => found,
        None => message,
    };
    let message = message.replace("'<EOF>'", "the end of the rule").replace("<EOF>", "the end of the rule");
    let line = usize::try_from(first.pos.0).unwrap_or(1).max(1);
    let column = usize::try_from(first.pos.1).unwrap_or(1).max(1);
    let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    RuleError { message: format!("not valid CEL: {message}"), offset: byte_offset(text, before + column - 1) }
}

/// The byte at which a character stands; the parser counts characters.
fn byte_offset(text: &str, characters: usize) -> Option<usize> {
    text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(characters)
}

/// An error of evaluation in words that show no value of the request.
fn spoken(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(_) => "the request lacks a member that the rule reads; test it with has()".to_owned(),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::UndeclaredReference(name) => format!("there is no `{name}`"),
        ExecutionError::ValuesNotComparable(..) => "two values cannot be compared".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".to_owned(),
        ExecutionError::Overflow(..) => "a number became too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the rule expects".to_owned(),
        _ => "a value has a type that the rule does not expect".to_owned(),
    }
}
