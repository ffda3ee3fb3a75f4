//! The question that the scene comes to: somebody has to say yes before doors and alarm are touched.
//!
//! Whoever watches says it in another terminal; the client that asks could not. With `--once` nobody watches, and the
//! demonstration says yes itself, with the secret that the operator at this machine has, and tells that it did.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::{Client, Trouble};
use super::home::Home;
use super::story::{Step, Story};
use super::watch::program;

/// Who answers, and how.
pub(super) struct Answerer {
    config: PathBuf,
    secret: PathBuf,
    itself: bool,
}

impl Answerer {
    /// The demonstration itself, or whoever watches.
    pub(super) fn of(home: &Home, itself: bool) -> Self {
        Self { config: home.config.clone(), secret: home.secret.clone(), itself }
    }

    /// Tells the question; the demonstration says yes if it answers itself.
    pub(super) async fn asked(&self, client: &Client, story: &Story, asked: &Value) -> Result<(), Trouble> {
        let text = |member: &str| asked.get(member).and_then(Value::as_str).unwrap_or_default();
        let question = text("id");
        let command = format!("{} --config {} approve", program(), self.config.display());
        let mut words = format!(
            "   It is about doors and an alarm, so a person has to say yes first, until {}.",
            text("expiresAt")
        );
        if !self.itself {
            words.push_str(&format!(
                "\n   In another terminal:\n   {command} show {question}\n   {command} yes {question}"
            ));
        }
        let facts = json!({"question": question, "class": text("class"), "config": self.config});
        story.step(Step::new("asked", words).facts(facts));
        if !self.itself {
            return Ok(());
        }
        let unreadable =
            |error: std::io::Error| Trouble { code: None, words: format!("{}: {error}", self.secret.display()) };
        let secret = std::fs::read_to_string(&self.secret).map_err(unreadable)?;
        client.approve(question, secret.trim()).await?;
        let words =
            format!("   --once answers its own question, as somebody would with `moongate approve yes {question}`.");
        story.step(Step::new("answered", words).facts(json!({ "question": question })));
        Ok(())
    }
}
