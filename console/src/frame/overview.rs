//! How things stand: what needs somebody, how much is going on, which gateways there are.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::Problem;
use serde::{Deserialize, Serialize};

use super::layout::shown;
use super::place::Place;
use super::{Asking, Caller, chart};

/// `GET /api/v1/overview`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// The trust domain.
    pub domain: String,
    /// The program's version.
    pub version: String,
    /// Since when it runs, RFC 3339.
    pub started_at: String,
    /// The four gateways.
    pub gateways: Vec<Part>,
    /// What needs somebody, the worst first.
    pub attention: Vec<Matter>,
    /// The last minutes.
    pub traffic: Traffic,
}

/// One of the four gateways.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether this version has it.
    pub works: bool,
    /// How it is.
    pub detail: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something does not work.
    Bad,
    /// Something will not work for long, or works for some only.
    Warn,
    /// Somebody waits.
    Note,
}

/// Something that needs somebody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Matter {
    /// How bad it is.
    pub level: Level,
    /// What it is.
    pub what: String,
    /// The API's noun that has more about it.
    pub about: Option<String>,
}

/// The last minutes in numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// The span, in seconds.
    pub seconds: f64,
    /// Requests that ended within it.
    pub requests: u64,
    /// Those of them that failed, whoever was to blame.
    pub failures: u64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// All but one in a hundred took no longer.
    pub p99_ms: Option<f64>,
    /// Requests a second, the oldest step first.
    pub rates: Vec<f64>,
    /// Failures a second, the same.
    pub failure_rates: Vec<f64>,
}

impl Asking<'_> {
    pub(super) async fn overview(&self) -> Result<Response<Bytes>, Problem> {
        let view: Overview = self.look("/api/v1/overview").await?;
        Ok(self.page(&draw(&view, self.who)))
    }
}

fn draw(view: &Overview, who: &Caller) -> Markup {
    html! {
        h1 { "Overview" }
        p class="quiet" { (shown(&view.domain)) " · Moongate " (view.version) " · up since " (moment(&view.started_at)) }
        section id="attention" data-live {
            h2 { "Needs somebody" }
            @if view.attention.is_empty() {
                p class="well" { "Nothing. All is well." }
            } @else {
                ul class="matters" { @for matter in &view.attention { (matter_row(matter, who)) } }
            }
        }
        section id="traffic" data-live {
            h2 { "The last minutes" }
            (traffic(&view.traffic))
        }
        section {
            h2 { "Gateways" }
            ul class="rows" {
                @for part in &view.gateways {
                    li {
                        strong { (part.name) }
                        span class={ "pill " (if part.works { "good" } else { "off" }) } {
                            @if part.works { "works" } @else { "not in this version" }
                        }
                        span class="quiet rest" { (shown(&part.detail)) }
                    }
                }
            }
        }
    }
}

fn matter_row(matter: &Matter, who: &Caller) -> Markup {
    let (class, word) = match matter.level {
        Level::Bad => ("bad", "broken"),
        Level::Warn => ("warn", "look"),
        Level::Note => ("note", "waits"),
    };
    let place = matter.about.as_deref().and_then(Place::about).filter(|place| who.may(place.right));
    html! {
        li class=(class) {
            span class={ "pill " (class) } { (word) }
            span class="rest" {
                (shown(&matter.what))
                @if let Some(place) = place { " " a href=(place.path) { (place.title) } }
            }
        }
    }
}

fn traffic(traffic: &Traffic) -> Markup {
    let per_second = traffic.requests as f64 / traffic.seconds.max(1.0);
    let failing = (traffic.requests > 0).then(|| 100.0 * traffic.failures as f64 / traffic.requests as f64);
    let label = format!("Requests a second over the last {}", span(traffic.seconds));
    html! {
        dl class="figures" {
            div { dt { "Requests a second" } dd { (number(per_second)) } }
            div { dt { "Failed" } dd { @match failing { Some(percent) => { (number(percent)) " %" } None => "–" } } }
            div { dt { "Half within" } dd { (time(traffic.p50_ms)) } }
            div { dt { "99 of 100 within" } dd { (time(traffic.p99_ms)) } }
        }
        figure {
            (chart::sparkline(&label, &traffic.rates, &traffic.failure_rates))
            figcaption class="quiet small" {
                (traffic.requests) " requests, " (traffic.failures) " failed, in " (span(traffic.seconds))
            }
        }
    }
}

/// A moment, to the minute.
pub(super) fn moment(text: &str) -> Markup {
    let short = text.get(..16).unwrap_or(text).replace('T', " ");
    html! { time datetime=(text) { (short) " UTC" } }
}

fn span(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} seconds") } else { format!("{:.0} minutes", seconds / 60.0) }
}

/// Three figures.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

fn time(ms: Option<f64>) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) if ms >= 1000.0 => format!("{} s", number(ms / 1000.0)),
        Some(ms) => format!("{} ms", number(ms)),
    }
}
