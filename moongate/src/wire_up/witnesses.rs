//! Witnesses of this gateway's audit log, and this gateway as the witness of others'.
//!
//! - Every `audit.witness_seconds`, if the log has grown, each witness is sent the newest checkpoint and what proves that it is
//!   the one it signed last, grown. What it signs is kept beside the log and published with the checkpoint.
//! - A witness that does not answer holds up nothing. One that has seen *another* log of the same name is the very thing that
//!   witnesses are for: it is an error in the program's log, a line in the audit log, a number, and stays at
//!   `/api/v1/status` until the next start.

mod cosigns;
mod standing;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use moongate_audit::{Files, Key, Signed, VerifyingKey, accepted};
use moongate_config::Config;
use moongate_core::seam::{Clock, Dialer, Fetch, Fetched, Recorder as _, Store};
use moongate_core::{Code, Problem};
use serde_json::{Value, json};

use super::record::Records;
pub(crate) use cosigns::Answer;
use standing::Board;

/// The longest that a witness may take.
const PATIENCE_MS: u64 = 10_000;
/// The longest answer of one.
const ANSWER: usize = 64 * 1024;
/// The running month, and the one before, whose end may not have been signed yet.
const MONTHS: usize = 2;

/// Both sides.
pub(crate) struct Witnessing {
    domain: String,
    key_file: std::path::PathBuf,
    key: OnceLock<Key>,
    witnesses: Vec<Witness>,
    /// The logs that are known here: the name, or the beginning of its months' names, and the key.
    logs: Vec<(String, VerifyingKey)>,
    interval: Duration,
    records: Arc<Records>,
    store: Arc<dyn Store>,
    dialer: Arc<dyn Dialer>,
    clock: Arc<dyn Clock>,
    board: Board,
}

/// Somebody who signs this log, too.
struct Witness {
    name: String,
    url: String,
    key: VerifyingKey,
}

impl Witnessing {
    /// Both sides as the configuration has them.
    pub(crate) fn open(
        config: &Config,
        records: &Arc<Records>,
        store: &Arc<dyn Store>,
        dialer: &Arc<dyn Dialer>,
    ) -> Result<Arc<Self>, Problem> {
        let wrong = |key: &str| Problem::new(Code::ConfigWrongValue, format!("{key:?} is no public key"));
        let parse = |key: &str| VerifyingKey::parse(key).ok_or_else(|| wrong(key));
        let witnesses = config
            .audit
            .witnesses
            .iter()
            .map(|one| Ok(Witness { name: one.name.clone(), url: one.url.clone(), key: parse(&one.key)? }));
        if !config.audit.cosigns.is_empty() && config.store.url == "memory:" {
            let why = "what it signed is forgotten with the next start, and it would sign anything then";
            tracing::warn!(why, "this gateway is a witness whose store is memory");
        }
        let logs = config.audit.cosigns.iter().map(|one| Ok((one.origin.clone(), parse(&one.key)?)));
        Ok(Arc::new(Self {
            domain: config.domain.clone(),
            key_file: config.data_dir.join("witness.key"),
            key: OnceLock::new(),
            witnesses: witnesses.collect::<Result<_, Problem>>()?,
            logs: logs.collect::<Result<_, Problem>>()?,
            interval: config.audit.witness_seconds,
            records: records.clone(),
            store: store.clone(),
            dialer: dialer.clone(),
            clock: records.clock.clone(),
            board: Board::default(),
        }))
    }

    /// What it is called where it signs.
    fn name(&self) -> String {
        format!("{}/audit/witness", self.domain)
    }

    /// The key that signs others' checkpoints; made when it is first wanted. It signs nothing of this gateway's.
    fn own_key(&self) -> Result<&Key, Problem> {
        match self.key.get() {
            Some(key) => Ok(key),
            None => {
                let key = Key::load_or_make(&self.key_file)?;
                Ok(self.key.get_or_init(|| key))
            }
        }
    }

    /// Its public half.
    pub(crate) fn key(&self) -> Result<VerifyingKey, Problem> {
        Ok(self.own_key()?.cosigning(&self.name()))
    }

    /// For `/api/v1/status`: how witnesses stand, and what wants somebody's attention.
    pub(crate) fn view(&self, problem: Option<Problem>) -> Value {
        let trouble = problem.map(|problem| problem.to_string());
        let attention: Vec<String> = trouble.iter().cloned().chain(self.board.attention()).collect();
        json!({
            "on": self.records.log().is_some(), "problem": trouble,
            "witnesses": self.board.views(), "attention": attention,
        })
    }

    /// Sets the numbers.
    pub(crate) fn count(&self) {
        let (witnesses, conflicts) = self.board.numbers();
        self.records.telemetry.metrics().set_witnesses(witnesses, conflicts);
    }

    /// Asks every witness, each at its own pace, for as long as the gateway runs.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut asking = tokio::task::JoinSet::new();
        for index in 0..self.witnesses.len() {
            let this = self.clone();
            asking.spawn(async move {
                let mut interval = tokio::time::interval(this.interval);
                interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    interval.tick().await;
                    if let Some(witness) = this.witnesses.get(index) {
                        this.attend(witness).await;
                    }
                }
            });
        }
        while asking.join_next().await.is_some() {}
    }

    /// Sends a witness what it has not signed yet.
    async fn attend(&self, witness: &Witness) {
        let Some(log) = self.records.log() else { return };
        let Ok(months) = Files::shards(log.folder()) else { return };
        for (month, files) in months.iter().skip(months.len().saturating_sub(MONTHS)) {
            let key = log.verifying(month);
            let Ok(newest) = files.signed(&key) else { continue };
            let covered = files.covered_by(&witness.key, &key);
            if covered.is_some_and(|(size, _)| size == newest.checkpoint.size) {
                self.board.stands(&witness.name, newest.checkpoint.size, covered.map(|(_, at)| at));
                continue;
            }
            match self.ask(witness, files, &key, covered.map_or(0, |(size, _)| size)).await {
                Ok(signed) => {
                    self.board.stands(&witness.name, signed.checkpoint.size, Some(self.clock.now().0 / 1000));
                }
                Err(problem) if problem.code == Code::WitnessConflict => {
                    self.conflict(&witness.name, &problem, true);
                }
                Err(problem) => self.board.fails(&witness.name, &problem.detail),
            }
        }
    }

    /// Has a checkpoint signed; once more if the witness says that it signed another size last.
    async fn ask(&self, witness: &Witness, files: &Files, key: &VerifyingKey, covered: u64) -> Result<Signed, Problem> {
        let mut old = covered;
        for last_try in [false, true] {
            let (asked, signed) = files.ask(old, key)?;
            let answer = self.send(witness, asked.to_string()).await?;
            let conflict =
                |why: String| Problem::new(Code::WitnessConflict, format!("{}: {why}", signed.checkpoint.origin));
            match answer.status {
                200 => {
                    let unsigned = || Problem::new(Code::CommandFailed, "it answers with no signature of its key");
                    let note = accepted(&signed, &answer.body, &witness.key).ok_or_else(unsigned)?;
                    files.keep_witnessed(&note, &witness.key)?;
                    return Ok(signed);
                }
                409 => {
                    let said = std::str::from_utf8(&answer.body).ok().and_then(|text| text.trim().parse::<u64>().ok());
                    let said = said.ok_or_else(|| Problem::new(Code::CommandFailed, "its 409 names no size"))?;
                    let size = signed.checkpoint.size;
                    if said > size {
                        return Err(conflict(format!("it has signed {said} lines, and this log has {size}")));
                    }
                    if said == old {
                        return Err(conflict(format!("it has signed another root of {said} lines")));
                    }
                    if last_try {
                        return Err(Problem::new(Code::CommandFailed, "it changes its mind about what it signed last"));
                    }
                    old = said;
                }
                422 => return Err(conflict(format!("the {old} lines that it has signed are not these"))),
                other => return Err(Problem::new(Code::CommandFailed, format!("it answers with HTTP {other}"))),
            }
        }
        Err(Problem::new(Code::CommandFailed, "it does not sign"))
    }

    async fn send(&self, witness: &Witness, body: String) -> Result<Fetched, Problem> {
        let fetch = Fetch {
            method: "POST",
            url: format!("{}/add-checkpoint", witness.url),
            headers: vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())],
            body: Bytes::from(body),
            timeout_ms: PATIENCE_MS,
            limit: ANSWER,
            body_wanted: true,
            // The operator chose it.
            egress: None,
        };
        self.dialer.fetch(fetch).await
    }

    /// Two histories of one log: said loudly, once each.
    fn conflict(&self, with: &str, problem: &Problem, sure: bool) {
        if !self.board.conflict(with, &problem.detail, sure) {
            return;
        }
        tracing::error!(with, code = %problem.code, "an audit log has two histories: {}", problem.detail);
        let deed = self.records.deed("witness.conflict", with, Some(problem), Some(&problem.detail));
        self.records.note(deed);
    }
}
