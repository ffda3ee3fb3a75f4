//! The audit log to search, on the admin listener alone.
//!
//! - `GET /api/v1/audit?…`: lines by what they say, the last ones of a month
//! - `GET /api/v1/audit/{line}`: a line with the proof that it is in the log
//! - `GET /api/v1/audit:verify`: every line against what was signed
//!
//! Each takes `month`. Lines are for the operator, and for holders of `audit:read`. A search reads a whole month, so two at
//! once are the most.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, json_response, no_such_path, problem_response};
use moongate_audit::{Files, Report, VerifyingKey, Wanted, follows, is_moment, verify};
use moongate_core::{Code, Listener, Problem};
use moongate_identity::authority::form::pairs;
use moongate_transport::Peer;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Surface;
use crate::wire_up::record::{Records, verifying};

const NOUN: &str = "/api/v1/audit";
/// Lines of an answer, if nobody says; and at most.
const USUAL: usize = 100;
const MOST: usize = 1000;
/// Readers at once.
const READERS: usize = 2;

/// Members that a search may name.
const MEMBERS: [&str; 9] = ["source", "domain", "target", "skill", "operation", "result", "code", "request", "trace"];

/// Whether a path is one of these.
pub(super) fn is_about(path: &str) -> bool {
    path.strip_prefix(NOUN).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
}

/// Room for those who read at the same time.
pub(crate) fn readers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(READERS))
}

/// A reader's seat, until it is dropped.
fn seat(readers: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    let busy = |_| Problem::new(Code::LogBusy, "the log is being read for others; come back in a moment");
    readers.clone().try_acquire_owned().map_err(busy)
}

/// What is asked for.
enum Asked {
    Search(Wanted),
    Line(u64),
    Verify,
}

/// A month to read.
struct Month {
    name: String,
    months: Vec<String>,
    files: Files,
    before: Option<Files>,
    key: VerifyingKey,
    mark: std::path::PathBuf,
}

impl Surface {
    /// Answers a reader of the log.
    pub(super) async fn lines(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        if listener != Listener::Admin {
            return no_such_path(request.uri().path());
        }
        let answered = async {
            self.may_read(listener, peer, &request).await?;
            self.answer_lines(request.method(), request.uri()).await
        };
        answered.await.unwrap_or_else(|problem| problem_response(&problem))
    }

    /// Answers somebody whom the caller of this has made sure of.
    pub(super) async fn answer_lines(&self, method: &Method, uri: &Uri) -> Result<Response<ReplyBody>, Problem> {
        if *method != Method::GET {
            return Err(Problem::new(Code::HttpMethodNotAllowed, "this is read with GET"));
        }
        let (asked, month) = read(uri)?;
        let permit = seat(&self.readers)?;
        let records = self.records.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            asked.answer(&records.month(month.as_deref())?)
        });
        let view = reading.await.map_err(|error| super::internal("the log could not be read", error))??;
        Ok(json_response(StatusCode::OK, &view))
    }
}

impl Records {
    fn month(&self, wanted: Option<&str>) -> Result<Month, Problem> {
        let off = || Problem::new(Code::AuditOff, "this gateway keeps no audit log");
        let place = self.place().ok_or_else(off)?;
        let shards = Files::shards(&place.folder)?;
        let months: Vec<String> = shards.iter().map(|(name, _)| name.clone()).collect();
        let name = wanted.or(months.last().map(String::as_str)).unwrap_or_default().to_owned();
        let missing = || Problem::new(Code::NoSuchEntryLogged, "the log has no such month");
        let at = months.iter().position(|known| *known == name).ok_or_else(missing)?;
        let files = |at: usize| shards.get(at).map(|(_, files)| files.clone());
        Ok(Month {
            files: files(at).ok_or_else(missing)?,
            before: at.checked_sub(1).and_then(files),
            key: verifying(place, &name)?,
            mark: place.mark.clone(),
            name,
            months,
        })
    }
}

impl Asked {
    fn answer(&self, month: &Month) -> Result<Value, Problem> {
        let Month { name, months, files, before, key, mark } = month;
        match self {
            Self::Search(wanted) => {
                let signed = files.signed(key)?.checkpoint;
                let found = files.search(wanted, key)?;
                let lines: Vec<Value> =
                    found.into_iter().map(|found| json!({"index": found.index, "leaf": found.leaf})).collect();
                let root = signed.root.to_string();
                Ok(json!({"month": name, "months": months, "size": signed.size, "root": root, "lines": lines}))
            }
            Self::Line(index) => {
                let proven = files.prove(*index, key)?;
                let path: Vec<String> = proven.path.iter().map(ToString::to_string).collect();
                Ok(json!({
                    "month": name, "index": index, "line": String::from_utf8_lossy(&proven.line), "path": path,
                    "checkpoint": proven.signed.text, "vkey": key.to_string(),
                }))
            }
            Self::Verify => {
                let mut report = verify(files, key, &[], Some(mark))?;
                if let Some(before) = before.as_ref().filter(|_| report.size > 0) {
                    report.findings.extend(follows(files, before)?);
                }
                Ok(self::report(&report))
            }
        }
    }
}

/// What verifying brought to light, as JSON.
pub(crate) fn report(report: &Report) -> Value {
    let findings = report.findings.iter().map(|finding| json!({"line": finding.line, "what": finding.what}));
    json!({
        "origin": report.origin, "size": report.size, "root": report.root.map(|root| root.to_string()),
        "unsigned": report.unsigned, "ok": report.findings.is_empty(), "findings": findings.collect::<Vec<_>>(),
    })
}

/// What an address asks for, and of which month.
fn read(uri: &Uri) -> Result<(Asked, Option<String>), Problem> {
    let place = uri.path().strip_prefix(NOUN).unwrap_or_default();
    let mut asked = match place {
        "" => Asked::Search(Wanted { limit: USUAL, ..Wanted::default() }),
        ":verify" => Asked::Verify,
        line => Asked::Line(number("line", line.trim_start_matches('/'))?),
    };
    let mut month = None;
    for (name, value) in pairs(uri.query().unwrap_or_default()) {
        match (&mut asked, name.as_str()) {
            (_, "month") => month = Some(value),
            (Asked::Search(wanted), name) => narrow(wanted, name, value)?,
            (Asked::Line(_) | Asked::Verify, name) => return Err(wrong(name, "is no parameter of this path")),
        }
    }
    Ok((asked, month))
}

fn narrow(wanted: &mut Wanted, name: &str, value: String) -> Result<(), Problem> {
    match name {
        "task" => wanted.task = Some(value),
        "since" | "before" if !is_moment(&value) => {
            return Err(wrong(name, "is no day or moment in UTC, as 2026-11-28 or 2026-11-28T01:00"));
        }
        "since" => wanted.since = Some(value),
        "before" => wanted.before = Some(value),
        "below" => wanted.below = Some(number(name, &value)?),
        "limit" => {
            wanted.limit = usize::try_from(number(name, &value)?).unwrap_or(MOST);
            if !(1..=MOST).contains(&wanted.limit) {
                return Err(wrong(name, "is a number from 1 to 1000"));
            }
        }
        other => match MEMBERS.iter().find(|member| **member == other) {
            Some(member) => wanted.members.push((member, value)),
            None => return Err(wrong(other, "is no parameter of this path")),
        },
    }
    Ok(())
}

fn number(name: &str, text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| wrong(name, "is a whole number"))
}

fn wrong(field: &str, what: &str) -> Problem {
    Problem::new(Code::InvalidParams, format!("{field} {what}")).field(field, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_read_at_once_and_a_third_comes_back() {
        let readers = readers();
        let first = seat(&readers).unwrap();
        let _second = seat(&readers).unwrap();
        assert_eq!(seat(&readers).unwrap_err().code, Code::LogBusy);
        drop(first);
        assert!(seat(&readers).is_ok());
    }

    #[test]
    fn addresses_say_what_is_asked_for() {
        let asked = |text: &str| read(&text.parse().unwrap());
        let (search, month) = asked("/api/v1/audit?month=2026-11&source=a%20b&limit=5&below=9").unwrap();
        assert_eq!(month.as_deref(), Some("2026-11"));
        let Asked::Search(wanted) = search else { panic!("a search") };
        assert_eq!((wanted.members, wanted.limit, wanted.below), (vec![("source", "a b".to_owned())], 5, Some(9)));
        assert!(matches!(asked("/api/v1/audit/7"), Ok((Asked::Line(7), None))));
        assert!(matches!(asked("/api/v1/audit:verify"), Ok((Asked::Verify, None))));
        for bad in
            ["?colour=red", "?limit=0", "?limit=1001", "?below=x", "/x", "/7?source=a", ":verify?limit=1", ":x", "/-1"]
        {
            assert!(asked(&format!("/api/v1/audit{bad}")).is_err(), "{bad}");
        }
    }
}
