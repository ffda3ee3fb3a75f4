//! The configuration: every key with its value, where that stands, and what became of the last change. What may be a secret
//! is named by its source; the API does not know more either.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::Problem;
use serde::Deserialize;

use super::Asking;
use super::layout::shown;
use super::overview::moment;

/// `GET /api/v1/configuration`.
#[derive(Debug, Deserialize)]
struct Configuration {
    file: String,
    read_at: String,
    changes: Changes,
    keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
struct Changes {
    reloads: u64,
    refused: u64,
    last_changes: Vec<Change>,
    last_error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Change {
    section: String,
    effect: String,
}

#[derive(Debug, Deserialize)]
struct Key {
    path: String,
    value: Option<String>,
    origin: String,
    line: Option<u64>,
    doc: String,
    needs_restart: bool,
    waits: Option<String>,
}

impl Key {
    /// The table that it stands in, and its name there.
    fn split(&self) -> (&str, &str) {
        self.path.split_once('.').unwrap_or(("", &self.path))
    }
}

impl Asking<'_> {
    pub(super) async fn configuration(&self) -> Result<Response<Bytes>, Problem> {
        let view: Configuration = self.look("/api/v1/configuration").await?;
        Ok(self.page(&draw(&view)))
    }
}

fn draw(view: &Configuration) -> Markup {
    html! {
        h1 { "Configuration" }
        p class="quiet" { code { (shown(&view.file)) } " · read " (moment(&view.read_at)) }
        section id="changes" data-live { (changes(&view.changes)) }
        @for table in view.keys.chunk_by(|one, next| one.split().0 == next.split().0) {
            section {
                @let name = table.first().map(|key| key.split().0).unwrap_or_default();
                h2 { @if name.is_empty() { "This gateway" } @else { code { (shown(name)) } } }
                ul class="rows keys" { @for key in table { (row(key)) } }
            }
        }
    }
}

fn changes(changes: &Changes) -> Markup {
    html! {
        h2 { "Changes since the start" }
        @if let Some(error) = &changes.last_error {
            div class="alert" { p { "The changed file is not taken over; what is shown below stays in force." } }
            pre class="params" tabindex="0" { (error.lines().map(shown).collect::<Vec<_>>().join("\n")) }
        }
        p class="quiet" { (changes.reloads) " taken over, " (changes.refused) " refused" }
        ul class="rows" {
            @for change in &changes.last_changes {
                li {
                    code { (shown(&change.section)) }
                    span class={ "pill " (if change.effect == "applied" { "good" } else { "warn" }) } { (shown(&change.effect)) }
                }
            }
        }
    }
}

fn row(key: &Key) -> Markup {
    let line = key.line.map(|line| format!("line {line}")).unwrap_or_default();
    let (class, origin) = match key.origin.as_str() {
        "file" => ("good", line),
        "elsewhere" => ("good", format!("{line}, from elsewhere")),
        _ => ("off", "default".to_owned()),
    };
    html! {
        li {
            details class="rest" {
                summary {
                    code { (shown(key.split().1)) } " "
                    @match &key.value {
                        Some(value) => { code class="value" { (shown(value)) } }
                        None => { span class="quiet" { "not set" } }
                    }
                }
                p class="quiet small" {
                    (shown(&key.doc)) " " @if key.needs_restart { "A change takes effect with the next start." } @else { "A change takes effect at once." }
                }
            }
            @if let Some(waits) = &key.waits { span class="pill warn" { "from the next start: " (shown(waits)) } }
            span class={ "pill " (class) } { (origin) }
        }
    }
}
