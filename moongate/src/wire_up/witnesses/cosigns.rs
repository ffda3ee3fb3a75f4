//! The other side: this gateway signs the checkpoints of others, and nothing that is not the same log grown.

use moongate_audit::{Asked, Hash, Judgement, Signed, VerifyingKey, cosign, is_shard, judge};
use moongate_core::seam::records::{Record, change};
use moongate_core::{Code, Problem};

use super::Witnessing;

/// The kind of rows that say what was signed last, by the log's name.
const KIND: &str = "audit.cosigned";

/// What a log hears.
pub(crate) enum Answer {
    /// The line of this witness.
    Signed(String),
    /// A status, and why.
    Refused(u16, &'static str),
    /// Another size was signed last.
    Conflict(u64),
}

impl Witnessing {
    /// Judges the body of an `add-checkpoint`, remembers what it is about to sign, and signs it.
    ///
    /// # Errors
    /// The store does not take it; nothing is signed then. The key cannot be used.
    pub(crate) async fn add_checkpoint(&self, body: &[u8]) -> Result<Answer, Problem> {
        let Some(asked) = Asked::read(body) else {
            return Ok(Answer::Refused(400, "the body is not an old size, a proof and a checkpoint"));
        };
        let Some(key) = self.key_of(asked.origin()) else {
            return Ok(Answer::Refused(404, "this log is not known here"));
        };
        let Some(signed) = Signed::open(asked.note.as_bytes(), &key) else {
            return Ok(Answer::Refused(403, "the log's key has not signed it"));
        };
        let (now, asking) = (signed.checkpoint.clone(), asked.clone());
        let (judgement, last) = change(self.store.records(), move |page| {
            let last = page.record(KIND, &now.origin)?.and_then(|row| read(&row.value, &now.origin));
            let judgement = judge(&asking, &now, last.as_ref());
            if judgement == Judgement::Grown {
                let value = format!("{}\n{}\n", now.size, now.root).into_bytes();
                let key = now.origin.clone();
                page.put(KIND, &Record { key, group: None, value, expires_at: None })?;
            }
            Ok((judgement, last))
        })
        .await?;
        self.look(&signed, judgement, last.map_or(0, |last| last.size));
        Ok(match judgement {
            Judgement::Grown => {
                let line = cosign(&signed, self.own_key()?, &self.name(), self.clock.now());
                line.map_or(Answer::Refused(400, "the checkpoint is none"), Answer::Signed)
            }
            Judgement::Backwards => Answer::Refused(400, "the old size is larger than the new one"),
            Judgement::Conflict(size) | Judgement::Forked(size) => Answer::Conflict(size),
            Judgement::Unproven => Answer::Refused(422, "this is not proven to be the same log grown"),
        })
    }

    /// Says loudly what no honest log sends: another root, or fewer lines than it had. The latter may also be an older checkpoint
    /// that somebody else sends again.
    fn look(&self, signed: &Signed, judgement: Judgement, last: u64) {
        let now = &signed.checkpoint;
        let what = match judgement {
            Judgement::Forked(size) => format!("{}: two roots of {size} lines are signed", now.origin),
            Judgement::Conflict(_) if now.size < last => {
                format!("{}: it has {} lines, and had {last}", now.origin, now.size)
            }
            _ => return,
        };
        let sure = matches!(judgement, Judgement::Forked(_));
        self.conflict(&now.origin, &Problem::new(Code::WitnessConflict, what), sure);
    }

    /// The key of a log, under its name.
    fn key_of(&self, origin: &str) -> Option<VerifyingKey> {
        let month_of = |log: &str| origin.strip_prefix(log)?.strip_prefix('/').filter(|month| is_shard(month));
        let found = self.logs.iter().find(|(log, _)| log == origin || month_of(log).is_some());
        found.map(|(_, key)| key.named(origin))
    }
}

fn read(value: &[u8], origin: &str) -> Option<moongate_audit::Checkpoint> {
    let text = std::str::from_utf8(value).ok()?;
    let (size, root) = text.trim_end().split_once('\n')?;
    Some(moongate_audit::Checkpoint { origin: origin.to_owned(), size: size.parse().ok()?, root: Hash::parse(root)? })
}
