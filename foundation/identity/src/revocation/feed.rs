//! One source of lists: asks it, and remembers what for the next time.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use moongate_core::seam::{Dialer, Fetch};
use moongate_core::{Code, Problem, Time};

use super::crl::LARGEST;
use super::schedule;

const PATIENCE: u64 = 30_000;

/// Where lists come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, looked at each second.
    File(PathBuf),
    /// A URL that the operator named; `http` will do, as lists are signed.
    Url(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// What a source answered.
pub(super) enum Answer {
    /// Nothing new.
    Same,
    /// This, to be accepted or refused.
    List(Bytes, Mark),
}

/// By what a source's next answer is told from this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    tag: Option<String>,
    modified: Option<String>,
    file: Option<(SystemTime, u64)>,
}

/// A source and how it goes with it.
pub(super) struct Feed {
    pub(super) source: Source,
    pub(super) due: Time,
    failures: u32,
    mark: Option<Mark>,
    /// Whether what the mark stands for was refused.
    refused: bool,
    /// What was last told of it, so that it is told once.
    pub(super) trouble: Option<String>,
    /// The life of the list that it gave last.
    life: Option<(Time, Time)>,
}

impl Feed {
    pub(super) fn new(source: Source) -> Self {
        Self { source, due: Time(0), failures: 0, mark: None, refused: false, trouble: None, life: None }
    }

    /// Asks it.
    pub(super) async fn ask(&self, dialer: &dyn Dialer) -> Result<Answer, Problem> {
        match &self.source {
            Source::File(path) => self.read(path).await,
            Source::Url(url) => self.fetch(url, dialer).await,
        }
    }

    /// What it gave is in force, or was before.
    pub(super) fn given(&mut self, mark: Mark, life: (Time, Time), now: Time) {
        self.mark = Some(mark);
        self.life = Some(life);
        self.refused = false;
        self.well(now);
    }

    /// It has nothing new.
    pub(super) fn unchanged(&mut self, now: Time) {
        // What was refused is no better for being said again.
        if self.refused { self.failed(None, now) } else { self.well(now) }
    }

    fn well(&mut self, now: Time) {
        self.failures = 0;
        self.trouble = None;
        self.due = match (&self.source, self.life) {
            (Source::File(_), _) => now.plus(schedule::GLANCE),
            (Source::Url(_), Some((this, next))) => schedule::after_list(this, next, now, dice()),
            (Source::Url(_), None) => schedule::after_failure(1, now, dice()),
        };
    }

    /// It failed. With a mark, the same answer need not be looked at again.
    pub(super) fn failed(&mut self, mark: Option<Mark>, now: Time) {
        self.failures = self.failures.saturating_add(1);
        if mark.is_some() {
            self.mark = mark;
            self.refused = true;
        }
        self.due = match self.source {
            Source::File(_) => now.plus(schedule::GLANCE),
            Source::Url(_) => schedule::after_failure(self.failures, now, dice()),
        };
    }

    async fn read(&self, path: &Path) -> Result<Answer, Problem> {
        let failed = |error: std::io::Error| unavailable(&self.source).inside(error);
        let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
        let mark = Mark { file: Some((metadata.modified().map_err(failed)?, metadata.len())), ..Mark::default() };
        if self.mark.as_ref() == Some(&mark) {
            return Ok(Answer::Same);
        }
        if metadata.len() > u64::try_from(LARGEST).unwrap_or(u64::MAX) {
            return Err(unavailable(&self.source).inside("it has more than 16 MiB"));
        }
        Ok(Answer::List(tokio::fs::read(path).await.map_err(failed)?.into(), mark))
    }

    async fn fetch(&self, url: &str, dialer: &dyn Dialer) -> Result<Answer, Problem> {
        let mut headers = vec![("accept".to_owned(), "application/pkix-crl, */*".to_owned())];
        if let Some(mark) = &self.mark {
            let conditions = [("if-none-match", &mark.tag), ("if-modified-since", &mark.modified)];
            let known = conditions.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
            headers.extend(known);
        }
        let fetch = Fetch {
            method: "GET",
            url: url.to_owned(),
            headers,
            body: Bytes::new(),
            timeout_ms: PATIENCE,
            limit: LARGEST,
            body_wanted: true,
            egress: None,
        };
        let answer = dialer.fetch(fetch).await.map_err(|problem| unavailable(&self.source).inside(problem))?;
        match answer.status {
            200 => {
                let header = |name: &str| answer.header(name).map(str::to_owned);
                let mark = Mark { tag: header("etag"), modified: header("last-modified"), file: None };
                Ok(Answer::List(answer.body, mark))
            }
            304 if self.mark.is_some() => Ok(Answer::Same),
            status => Err(unavailable(&self.source).inside(format!("HTTP {status}"))),
        }
    }
}

fn unavailable(source: &Source) -> Problem {
    Problem::new(Code::CrlUnavailable, format!("the revocation list at {source} cannot be read"))
}

fn dice() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness everybody comes at the same time: bad luck, no danger.
    let _ = getrandom::fill(&mut bytes);
    u16::from_le_bytes(bytes)
}
