//! Log lines on standard error: for people, or one JSON object a line.
//!
//! The level is a word (`info`) or a list by room (`info,moongate_a2a=debug`), and can be changed while the program
//! runs. Standard output stays free for data. A reader that goes away (a closed pipe) costs the lines, never the program.

use std::io::IsTerminal;

use moongate_core::{Code, Problem};
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Changes what is logged from now on.
#[derive(Clone, Debug)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Takes another level.
    ///
    /// # Errors
    /// `ConfigWrongValue` if it is not one; the old one stays.
    pub fn set(&self, level: &str) -> Result<(), Problem> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|error| Problem::new(Code::Internal, "the log has been shut down").inside(error))
    }
}

/// Begins to log, once in the life of a program.
///
/// # Errors
/// `ConfigWrongValue` if `level` is not one, `Internal` if somebody else has begun to log already.
pub fn init(level: &str, json: bool) -> Result<Level, Problem> {
    let colour = std::io::stderr().is_terminal();
    let (level, subscriber) = subscriber(filter(level)?, json, colour, std::io::stderr);
    subscriber.try_init().map_err(|error| Problem::new(Code::Internal, "the log is open already").inside(error))?;
    Ok(level)
}

fn subscriber<W>(filter: EnvFilter, json: bool, colour: bool, writer: W) -> (Level, impl Subscriber + Send + Sync)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = match (json, colour) {
        (true, _) => lines.json().flatten_event(true).boxed(),
        (false, false) => lines.with_ansi(false).boxed(),
        // Left alone, the layer asks NO_COLOR itself.
        (false, true) => lines.boxed(),
    };
    (Level(handle), Registry::default().with(filter).with(lines))
}

/// Reads a level. A lone word that is no level would silently be taken for the name of a room, so it is refused.
fn filter(level: &str) -> Result<EnvFilter, Problem> {
    let wrong =
        |why: String| Problem::new(Code::ConfigWrongValue, format!("the log level {level:?} is not one: {why}"));
    let words: Vec<&str> = level.split(',').map(str::trim).collect();
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    if let Some(word) = words.iter().find(|word| !word.contains('=') && !is_level(word)) {
        return Err(wrong(format!("{word:?} is none of {}", LEVELS.join(", "))));
    }
    EnvFilter::try_new(words.join(",")).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    pub(crate) fn logged(json: bool, work: impl FnOnce(&Level)) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let (level, subscriber) = subscriber(filter("info").unwrap(), json, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || work(&level));
        String::from_utf8(std::mem::take(&mut *lines.0.lock())).unwrap()
    }

    #[test]
    fn words_that_are_no_levels_are_refused() {
        for bad in ["loud", "", "info,loud", "moongate_a2a=loud"] {
            let problem = filter(bad).unwrap_err();
            assert_eq!(problem.code, Code::ConfigWrongValue, "{bad}");
        }
        for good in ["info", "WARN", "off", "info,moongate_a2a=debug", "warn, moongate_store=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn lines_for_people_are_plain_and_cannot_be_forged() {
        let text = logged(false, |_| {
            tracing::info!(agent = "lights\n\u{1b}[31m2026-01-01 INFO forged", "agent is up");
            tracing::debug!("not seen");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("INFO") && text.contains("agent is up") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn json_lines_carry_fields_at_the_top() {
        let text = logged(true, |_| tracing::warn!(agent = "lights", "agent is down"));
        assert!(text.starts_with('{') && text.ends_with("}\n"), "{text}");
        for member in [r#""level":"WARN""#, r#""agent":"lights""#, r#""message":"agent is down""#] {
            assert!(text.contains(member), "{text}");
        }
    }

    #[test]
    fn the_level_changes_while_running_and_a_bad_one_changes_nothing() {
        let text = logged(false, |level| {
            tracing::debug!("first");
            assert!(level.set("loud").is_err());
            tracing::debug!("second");
            level.set("debug").unwrap();
            tracing::debug!("third");
        });
        assert!(!text.contains("first") && !text.contains("second") && text.contains("third"), "{text}");
    }
}
