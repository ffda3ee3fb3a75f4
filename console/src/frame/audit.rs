//! The audit log: a search over a month, a line with its proof, and whether everything still fits what was signed.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::Problem;
use serde::Deserialize;
use serde_json::Value;

use super::layout::shown;
use super::place::Place;
use super::{Answer, Asking, encoded};

const PATH: &str = "/console/audit";
/// Lines of a page.
const LINES: usize = 50;
/// What the form asks for, and in which words.
const FIELDS: [(&str, &str, &str); 6] = [
    ("source", "Who asked", "local"),
    ("operation", "What was asked for", "send"),
    ("target", "Whom, or what", "lights"),
    ("result", "How it ended", "failed"),
    ("since", "Since", "2026-11-27"),
    ("before", "Before", "2026-11-28"),
];

/// What the page can be asked for: the fields, a month, and lines before one.
pub(super) const PARAMETERS: &[&str] =
    &["source", "operation", "target", "result", "since", "before", "month", "below"];

/// `GET /api/v1/audit`.
#[derive(Debug, Deserialize)]
struct Found {
    month: String,
    months: Vec<String>,
    size: u64,
    root: String,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    index: u64,
    leaf: Value,
}

/// `GET /api/v1/audit/{line}`.
#[derive(Debug, Deserialize)]
struct Proof {
    month: String,
    index: u64,
    line: String,
    path: Vec<String>,
    checkpoint: String,
    vkey: String,
}

/// `GET /api/v1/audit:verify`.
#[derive(Debug, Deserialize)]
struct Report {
    origin: String,
    size: u64,
    root: Option<String>,
    unsigned: u64,
    ok: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    line: Option<u64>,
    what: String,
}

impl Asking<'_> {
    /// The search, a line by its number, or `verify`.
    pub(super) async fn audit(&self) -> Answer {
        let month = self.given("month").map(|month| format!("month={}", encoded(month))).unwrap_or_default();
        let below = Place::at(self.visit.path()).and_then(|place| place.below(self.visit.path()));
        match below.unwrap_or_default() {
            "" => self.audit_search(month).await,
            "verify" => {
                let report: Report = self.look(format!("/api/v1/audit:verify?{month}")).await?;
                Ok(self.page(&verified(&report, &month)))
            }
            line => {
                let proof: Proof = self.look(format!("/api/v1/audit/{}?{month}", encoded(line))).await?;
                Ok(self.page(&proven(&proof)))
            }
        }
    }

    async fn audit_search(&self, month: String) -> Result<Response<Bytes>, Problem> {
        let asked = FIELDS.iter().filter_map(|(name, ..)| Some(format!("{name}={}", encoded(self.given(name)?))));
        let query: Vec<String> = [month].into_iter().filter(|month| !month.is_empty()).chain(asked).collect();
        let query = query.join("&");
        let below = self.given("below").map(|below| format!("&below={}", encoded(below))).unwrap_or_default();
        let found: Found = self.look(format!("/api/v1/audit?limit={LINES}&{query}{below}")).await?;
        Ok(self.page(&self.search(&found, &query)))
    }

    /// A parameter that says something.
    fn given(&self, name: &str) -> Option<&str> {
        self.visit.parameter(name).map(str::trim).filter(|text| !text.is_empty())
    }

    fn search(&self, found: &Found, query: &str) -> Markup {
        html! {
            h1 { "Audit" }
            p class="quiet" {
                (found.size) " lines in " (found.month) ", signed as one root: " code class="small" { (found.root) }
            }
            form method="get" action=(PATH) {
                div class="fields" {
                    @for (name, words, example) in FIELDS {
                        div {
                            label for=(name) { (words) }
                            input id=(name) name=(name) value=[self.given(name)] placeholder=(example) autocomplete="off";
                        }
                    }
                    @if found.months.len() > 1 { (months(found)) }
                }
                p class="line" {
                    button type="submit" { "Search" }
                    a class="button second" href={ (PATH) "/verify?month=" (found.month) } { "Verify the month" }
                }
            }
            section {
                @if found.lines.is_empty() { p class="quiet" { "No line says that." } }
                ul class="rows" { @for line in found.lines.iter().rev() { (row(line, &found.month)) } }
            }
            @if let Some(first) = found.lines.first().filter(|_| found.lines.len() == LINES) {
                p { a href={ (PATH) "?" (query) "&below=" (first.index) } { "Older lines" } }
            }
        }
    }
}

fn months(found: &Found) -> Markup {
    html! {
        div {
            label for="month" { "Month" }
            select id="month" name="month" {
                @for month in found.months.iter().rev() {
                    option value=(month) selected[*month == found.month] { (month) }
                }
            }
        }
    }
}

fn text<'l>(leaf: &'l Value, pointer: &str) -> Option<&'l str> {
    leaf.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn row(line: &Line, month: &str) -> Markup {
    let leaf = &line.leaf;
    let said = |pointer: &str| shown(text(leaf, pointer).unwrap_or("–"));
    html! {
        li {
            (result(leaf))
            div class="rest" {
                a href={ (PATH) "/" (line.index) "?month=" (month) } { strong { (said("/operation")) } }
                " by " (said("/source/id"))
                @if let Some(target) = text(leaf, "/target") { " → " (shown(target)) }
                @if let Some(skill) = text(leaf, "/skill") { " " code { (shown(skill)) } }
                p class="quiet small" {
                    (said("/ts")) " · line " (line.index)
                    @if let Some(code) = text(leaf, "/code") { " · " (shown(code)) }
                    @if let Some(detail) = text(leaf, "/detail") { " · " (shown(detail)) }
                }
            }
        }
    }
}

fn result(leaf: &Value) -> Markup {
    let word = text(leaf, "/result").unwrap_or("–");
    let class = match word {
        "done" | "stream" | "accepted" => "good",
        "failed" | "abandoned" | "unknown" => "bad",
        "asked" => "warn",
        _ => "off",
    };
    html! { span class={ "pill " (class) } { (shown(word)) } }
}

fn proven(proof: &Proof) -> Markup {
    let leaf: Value = serde_json::from_str(&proof.line).unwrap_or_default();
    html! {
        h1 { "Line " (proof.index) " of " (proof.month) }
        p class="well" { "It leads to the root that was signed; that was computed just now." }
        section {
            h2 { "What it says" }
            dl class="pairs" {
                @for (name, value) in leaf.as_object().into_iter().flatten() {
                    dt { (shown(name)) }
                    dd { @match value.as_str() { Some(text) => (shown(text)), None => (shown(&value.to_string())) } }
                }
            }
        }
        section {
            h2 { "The proof" }
            p class="quiet small" {
                "What an outsider needs, besides the key from elsewhere: the very bytes of the line, the hashes from it up to the "
                "root, and the signed root (C2SP tlog-proof)."
            }
            h3 { "Line" }
            pre class="params" tabindex="0" { (shown(&proof.line)) }
            h3 { "Hashes" }
            pre class="params" tabindex="0" { (proof.path.join("\n")) }
            h3 { "Signed root" }
            pre class="params" tabindex="0" { (lines(&proof.checkpoint)) }
            h3 { "Key" }
            pre class="params" tabindex="0" { (shown(&proof.vkey)) }
        }
        p { a href={ (PATH) "?month=" (proof.month) } { "All lines" } }
    }
}

fn verified(report: &Report, month: &str) -> Markup {
    html! {
        h1 { "Verified" }
        p class="quiet" { (shown(&report.origin)) }
        section {
            @if report.ok {
                p class="well" { "All " (report.size) " lines are what was signed." }
            } @else {
                div class="alert" role="alert" {
                    p { "The log is not what was signed. Nothing was changed; keep the folder as it is." }
                }
                ul class="rows" {
                    @for finding in &report.findings {
                        li {
                            @if let Some(line) = finding.line { strong { "line " (line) } }
                            span class="rest" { (shown(&finding.what)) }
                        }
                    }
                }
            }
            @if report.unsigned > 0 { p class="quiet small" { (report.unsigned) " lines came after the last signature." } }
            h3 { "Root, as computed from the lines" }
            pre class="params" { (report.root.as_deref().unwrap_or("unknown")) }
            p class="quiet small" {
                "This machine says so of itself. Somebody else who has kept a checkpoint can tell more: "
                code { "moongate audit verify --checkpoint FILE" } "."
            }
        }
        p { a href={ (PATH) "?" (month) } { "All lines" } }
    }
}

/// Each line made visible on its own.
fn lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}
