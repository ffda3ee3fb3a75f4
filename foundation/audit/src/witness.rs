//! Witnesses (C2SP tlog-witness, tlog-cosignature): whoever has seen how far a log had grown, and signs nothing that is not the
//! same log grown longer. Rewriting a log then needs its witnesses, too.
//!
//! Both sides are here, without a network: what a log sends to its witnesses and how it checks what comes back, and how this
//! gateway judges a log of somebody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_core::{Problem, Time};

use crate::file;
use crate::hash::Hash;
use crate::key::{Key, VerifyingKey};
use crate::note::{Checkpoint, Parts, Signed, number};
use crate::proof::check_growth;
use crate::read::Files;

/// Files of a shard that begin so hold the last checkpoint that a witness signed, with its line.
pub(crate) const WITNESSED: &str = "witnessed";
/// The most lines of proof that a request may have: enough for a log of 2^63 lines.
const PROOF: usize = 63;

/// What a witness is asked: to sign a checkpoint, as the one that it signed last is its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How many lines the checkpoint had that the witness signed last; 0 if it never did.
    pub old: u64,
    /// What proves that the log has only grown since.
    pub proof: Vec<Hash>,
    /// The checkpoint, with the log's own signature.
    pub note: String,
}

impl Asked {
    /// Reads the body of a request; `None` if it is none.
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.lines();
        let old = number(lines.next()?.strip_prefix("old ")?)?;
        let proof = lines.map(Hash::parse).collect::<Option<Vec<_>>>()?;
        Parts::of(note)?.checkpoint()?;
        (proof.len() <= PROOF).then(|| Self { old, proof, note: note.to_owned() })
    }

    /// The log that it speaks of; nothing of it is believed.
    pub fn origin(&self) -> &str {
        self.note.lines().next().unwrap_or_default()
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

/// What a witness finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is the same log, grown or not: to be kept and then signed.
    Grown,
    /// It is said to have grown since more lines than it has.
    Backwards,
    /// The witness signed another size last: that one.
    Conflict(u64),
    /// The same size with another root: one of the two is forged. The size.
    Forked(u64),
    /// What is said to prove the growth does not.
    Unproven,
}

/// Judges a checkpoint whose signature holds, by what was signed last.
pub fn judge(asked: &Asked, now: &Checkpoint, last: Option<&Checkpoint>) -> Judgement {
    let (size, root) = last.map_or((0, Hash::empty()), |last| (last.size, last.root));
    if asked.old > now.size {
        Judgement::Backwards
    } else if asked.old != size {
        Judgement::Conflict(size)
    } else if now.size == size && now.root != root {
        Judgement::Forked(size)
    } else if check_growth(size, root, now.size, now.root, &asked.proof) {
        Judgement::Grown
    } else {
        Judgement::Unproven
    }
}

fn message(seconds: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{body}")
}

/// Signs a checkpoint as a witness of that name: a line to stand below it.
pub fn cosign(checkpoint: &Signed, key: &Key, name: &str, at: Time) -> Option<String> {
    let body = Parts::of(&checkpoint.text)?.body;
    let seconds = at.0 / 1000;
    let mut signature = key.cosigning(name).id().to_vec();
    signature.extend_from_slice(&seconds.to_be_bytes());
    signature.extend_from_slice(&key.sign(message(seconds, body).as_bytes()));
    Some(format!("\u{2014} {name} {}\n", STANDARD.encode(signature)))
}

/// When this witness signed the note, in seconds since 1970; `None` if it did not.
pub fn cosigned(note: &str, witness: &VerifyingKey) -> Option<u64> {
    let parts = Parts::of(note)?;
    if !witness.cosigns() {
        return None;
    }
    parts.signatures(witness).find_map(|signature| {
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*time);
        witness.verifies(message(seconds, parts.body).as_bytes(), signature).then_some(seconds)
    })
}

/// The lines of an answer that are this witness's, if one of them holds, below the checkpoint that was sent.
pub fn accepted(sent: &Signed, answer: &[u8], witness: &VerifyingKey) -> Option<String> {
    let own = format!("\u{2014} {} ", witness.name());
    let lines = std::str::from_utf8(answer).ok()?.lines().filter(|line| line.starts_with(&own));
    let note = lines.fold(sent.text.clone(), |note, line| note + line + "\n");
    cosigned(&note, witness).map(|_| note)
}

impl Files {
    /// The checkpoints that witnesses signed last, each with the lines of one; the shortest first.
    fn notes(&self) -> Vec<(u64, String)> {
        let names = std::fs::read_dir(self.folder()).into_iter().flatten().flatten().map(|entry| entry.path());
        let own = names.filter(|path| path.file_stem().is_some_and(|stem| stem == WITNESSED));
        let mut notes: Vec<(u64, String)> = own
            .filter_map(|path| {
                let text = String::from_utf8(file::read(&path).ok()??).ok()?;
                Some((Parts::of(&text)?.checkpoint()?.size, text))
            })
            .collect();
        notes.sort();
        notes
    }

    /// A checkpoint with the lines of all witnesses that have signed this one.
    fn with_lines(&self, note: &str) -> String {
        let mut all = note.to_owned();
        for (_, cosigned) in self.notes() {
            all.push_str(cosigned.strip_prefix(note).unwrap_or_default());
        }
        all
    }

    /// The newest checkpoint that a witness signed, with the lines of all that signed it.
    pub fn witnessed(&self) -> Option<String> {
        let (_, newest) = self.notes().pop()?;
        // Up to the log's own line; what follows are witnesses'.
        let below = newest.find("\n\n")? + 2;
        let end = below + newest.get(below..)?.find('\n')? + 1;
        newest.get(..end).map(|note| self.with_lines(note))
    }

    /// What each witness signed last, as far as that is not longer than so many lines.
    pub fn witnessed_up_to(&self, size: u64) -> Vec<String> {
        self.notes().into_iter().filter(|(covered, _)| *covered <= size).map(|(_, note)| note).collect()
    }

    /// Keeps a checkpoint with the lines of this witness below it, in the place of the one that it signed before.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep_witnessed(&self, note: &str, witness: &VerifyingKey) -> Result<(), Problem> {
        let path = self.folder().join(witness_file(witness));
        file::replace(&path, note.as_bytes()).map_err(|error| crate::unwritable(&path, &error))
    }

    /// The checkpoint as it is published: the newest, with the lines of witnesses that have signed it.
    ///
    /// # Errors
    /// As [`Files::note`].
    pub fn published(&self) -> Result<Vec<u8>, Problem> {
        let note = self.note()?;
        Ok(std::str::from_utf8(&note).map(|text| self.with_lines(text).into_bytes()).unwrap_or(note))
    }

    /// What a witness is asked who signed so many lines last, and the checkpoint that it is asked to sign.
    ///
    /// # Errors
    /// As [`Files::growth`].
    pub fn ask(&self, old: u64, key: &VerifyingKey) -> Result<(Asked, Signed), Problem> {
        let (proof, signed) = self.growth(old, key)?;
        Ok((Asked { old, proof, note: signed.text.clone() }, signed))
    }

    /// How many lines of the shard this witness has signed, and when, by what lies there.
    pub fn covered_by(&self, witness: &VerifyingKey, key: &VerifyingKey) -> Option<(u64, u64)> {
        let newest = self.note().ok().and_then(|note| String::from_utf8(note).ok());
        let notes = self.witnessed_up_to(u64::MAX).into_iter().chain(newest);
        let covered = notes.filter_map(|note| {
            let at = cosigned(&note, witness)?;
            Some((Signed::open(note.as_bytes(), key)?.checkpoint.size, at))
        });
        covered.max()
    }
}

/// The file for this witness's lines: `witnessed.` and the key's id.
pub(crate) fn witness_file(witness: &VerifyingKey) -> String {
    let id: String = witness.id().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{WITNESSED}.{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "home.example/audit/2026-11";

    fn checkpoint(size: u64, root: Hash) -> Checkpoint {
        Checkpoint { origin: LOG.into(), size, root }
    }

    fn line(n: u8) -> Hash {
        Hash::leaf(&[n])
    }

    #[test]
    fn a_request_is_written_and_read_alike() {
        let key = Key::generate().unwrap();
        let signed = checkpoint(7, line(0)).sign(&key);
        let asked = Asked { old: 3, proof: vec![line(1), line(2)], note: signed.text };
        let text = asked.to_string();
        assert!(text.starts_with(&format!("old 3\n{}\n{}\n\n{LOG}\n7\n", line(1), line(2))), "{text}");
        assert_eq!(Asked::read(text.as_bytes()), Some(asked.clone()));
        assert_eq!(asked.origin(), LOG);
        let bare = Asked { old: 0, proof: vec![], ..asked.clone() };
        assert_eq!(Asked::read(bare.to_string().as_bytes()), Some(bare));
        let long = Asked { proof: vec![line(1); 64], ..asked };
        for wrong in [
            long.to_string(),
            text.replacen("old 3", "old 03", 1),
            text.replacen("old 3", "new 3", 1),
            text.replacen(&line(1).to_string(), "AAAA", 1),
            text.replacen("\n7\n", "\nseven\n", 1),
            "old 3\n".into(),
            String::new(),
        ] {
            assert_eq!(Asked::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_is_signed_but_the_same_log_grown() {
        let two = Hash::node(line(0), line(1));
        let asked = |old, proof: &[Hash]| Asked { old, proof: proof.to_vec(), note: String::new() };
        let (one, both) = (checkpoint(1, line(0)), checkpoint(2, two));
        assert_eq!(judge(&asked(0, &[]), &one, None), Judgement::Grown);
        assert_eq!(judge(&asked(1, &[line(1)]), &both, Some(&one)), Judgement::Grown);
        assert_eq!(judge(&asked(2, &[]), &both, Some(&both)), Judgement::Grown, "again");
        assert_eq!(judge(&asked(3, &[]), &both, Some(&both)), Judgement::Backwards);
        assert_eq!(judge(&asked(0, &[]), &both, Some(&one)), Judgement::Conflict(1));
        assert_eq!(judge(&asked(1, &[]), &one, Some(&both)), Judgement::Conflict(2), "put back from before");
        assert_eq!(judge(&asked(2, &[]), &checkpoint(2, line(9)), Some(&both)), Judgement::Forked(2));
        assert_eq!(judge(&asked(1, &[line(2)]), &both, Some(&one)), Judgement::Unproven);
        assert_eq!(judge(&asked(0, &[line(2)]), &both, None), Judgement::Unproven, "nothing is to be proven");
    }

    #[test]
    fn a_witness_is_known_by_its_line_and_nobody_elses() {
        let (log, key) = (Key::generate().unwrap(), Key::generate().unwrap());
        let signed = checkpoint(7, line(0)).sign(&log);
        let line = cosign(&signed, &key, "car.example/audit/witness", Time(1_795_802_096_789)).unwrap();
        let note = format!("{}{line}", signed.text);
        let witness = VerifyingKey::parse(&key.cosigning("car.example/audit/witness").to_string()).unwrap();
        assert!(witness.cosigns());
        assert_eq!(cosigned(&note, &witness), Some(1_795_802_096));
        assert_eq!(Signed::open(note.as_bytes(), &log.verifying(LOG)).unwrap().checkpoint, signed.checkpoint);
        assert_eq!(cosigned(&signed.text, &witness), None);
        assert_eq!(cosigned(&note, &Key::generate().unwrap().cosigning("car.example/audit/witness")), None);
        assert_eq!(cosigned(&note, &key.verifying("car.example/audit/witness")), None, "a key of another kind");
        assert_eq!(cosigned(&note.replacen("\n7\n", "\n8\n", 1), &witness), None, "another checkpoint");
        assert_eq!(Signed::open(note.as_bytes(), &key.cosigning(LOG)), None, "a witness signs for no log");
        let answer = format!("junk\n\n\u{2014} other AAAA\n{line}");
        assert_eq!(accepted(&signed, answer.as_bytes(), &witness), Some(note));
        assert_eq!(accepted(&signed, b"\xe2\x80\x94 car.example/audit/witness AAAA\n", &witness), None);
    }

    #[test]
    fn each_witness_has_its_place_and_the_newest_checkpoint_shows_who_signed_it() {
        let folder = std::env::temp_dir().join(format!("moongate-audit-witnessed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Files::at(&folder);
        let log = Key::generate().unwrap();
        let witnesses: Vec<(Key, &str)> = ["one", "two"].map(|name| (Key::generate().unwrap(), name)).into();
        let sign = |size: u64, who: usize| {
            let signed = checkpoint(size, line(0)).sign(&log);
            let (key, name) = &witnesses[who];
            let note = signed.text.clone() + &cosign(&signed, key, name, Time(9_000)).unwrap();
            files.keep_witnessed(&note, &key.cosigning(name)).unwrap();
            signed.text
        };
        assert_eq!(files.witnessed(), None);
        let five = sign(5, 0);
        sign(5, 1);
        file::replace(&folder.join("checkpoint"), five.as_bytes()).unwrap();
        let both = String::from_utf8(files.published().unwrap()).unwrap();
        assert!(both.starts_with(&five) && both.lines().count() == five.lines().count() + 2, "{both}");
        let seven = sign(7, 1);
        assert!(files.witnessed().unwrap().starts_with(&seven));
        let one = String::from_utf8(files.published().unwrap()).unwrap();
        assert_eq!(one.lines().count(), five.lines().count() + 1, "the other signs another size now");
        let covered = |who: usize| {
            let (key, name) = &witnesses[who];
            files.covered_by(&key.cosigning(name), &log.verifying(LOG))
        };
        assert_eq!((covered(0), covered(1)), (Some((5, 9)), Some((7, 9))));
        assert_eq!(files.covered_by(&log.cosigning("one"), &log.verifying(LOG)), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
