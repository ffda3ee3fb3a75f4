//! Rules in CEL: compiled once, what each of them reads known when the configuration loads.
//!
//! - [`Rule`]: one compiled rule. Names that do not exist, functions that do not exist and words that an operation can
//!   never be are errors when it compiles, not surprises when a request comes.
//! - [`Facts`]: what a rule may look at. [`Reads`] says which of it a rule does look at, so that a body is parsed only
//!   for rules that read it.
//! - [`RuleSet`]: many rules, first match first, indexed by skill and operation so that hundreds cost little.
//!
//! What a rule decides is left to others: routing (`[[routes]]`) and policy (`[[policy]]`). The names, with examples,
//! stand in `docs/reference/rules.md`.
//!
//! ```
//! use moongate_core::{Operation, Principal};
//! use moongate_rules::{Facts, Mode, Rule};
//!
//! let rule = Rule::compile(r#"skill == "lights.set" && zone == "kitchen""#, Mode::Match)?;
//! let caller = Principal::local("home.example");
//! assert_eq!(rule.matches(&Facts::new(&caller, Operation::Send)), Ok(false));
//! # Ok::<(), moongate_rules::RuleError>(())
//! ```

mod facts;
mod names;
mod plain;
mod rule;
mod set;
mod values;

pub use facts::{Facts, SkillFacts};
pub use names::Reads;
pub use rule::{Mode, Rule, RuleError};
pub use set::RuleSet;
