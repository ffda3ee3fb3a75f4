//! `moongate audit`: the log, by its files; also while the gateway runs. Nothing is changed, no gateway is asked.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use moongate_audit::{
    Beginning, Files, Finding, Report, VerifyingKey, Wanted, beginning, check_growth, export, follows, verify, whole,
};
use moongate_config::Config;
use moongate_core::{Code, Problem};
use serde_json::{Value, json};

use super::output::{data, talk};
use super::{Context, Ending, Failure};
use crate::surface::lines;
use crate::wire_up::{failed, record, rules};

/// Arguments.
#[derive(Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check every line against what was signed; exit code 1 if anything does not fit.
    #[command(visible_alias = "fsck")]
    Verify(Verify),
    /// Prove that a line is in the log, or that the log has only grown since a checkpoint.
    Prove(Prove),
    /// Write the log as a folder that other programs verify (C2SP tlog-tiles).
    Export(Export),
    /// Find lines by what they say.
    Search(Box<Search>),
}

/// Which log.
#[derive(Args)]
struct Which {
    /// The month, as 2026-11; the running one if absent.
    #[arg(long, value_name = "MONTH")]
    shard: Option<String>,
    /// An exported log instead of the gateway's own.
    #[arg(long, value_name = "DIR", conflicts_with = "shard")]
    dir: Option<PathBuf>,
    /// The file with the public key, known from elsewhere; with --dir, the one that lies there if absent.
    #[arg(long, value_name = "FILE")]
    vkey: Option<PathBuf>,
}

/// Which log, all months of it unless one is named: [`Which`] with the help that is true here.
#[derive(Args)]
struct Every {
    /// This month only, as 2026-11; every one if absent, and with --checkpoint the running one.
    #[arg(long, value_name = "MONTH")]
    shard: Option<String>,
    /// An exported log instead of the gateway's own.
    #[arg(long, value_name = "DIR", conflicts_with = "shard")]
    dir: Option<PathBuf>,
    /// The file with the public key, known from elsewhere; with --dir, the one that lies there if absent.
    #[arg(long, value_name = "FILE")]
    vkey: Option<PathBuf>,
}

impl Every {
    fn which(&self) -> Which {
        Which { shard: self.shard.clone(), dir: self.dir.clone(), vkey: self.vkey.clone() }
    }
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    which: Every,
    /// A checkpoint that was kept from before; the log must be the same one, grown. May be repeated.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A file with a witness's public key; it must have signed the log, too. May be repeated.
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
}

#[derive(Args)]
struct Prove {
    #[command(flatten)]
    which: Which,
    /// The line's number; --request ID and --since FILE say instead what to prove.
    #[arg(conflicts_with_all = ["request", "since"])]
    line: Option<u64>,
    /// The last line of this request instead.
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    request: Option<String>,
    /// Prove instead that the log has only grown since this checkpoint.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

#[derive(Args)]
struct Export {
    /// The folder to write; it must be empty, or not exist yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The month, as 2026-11; the running one if absent.
    #[arg(long, value_name = "MONTH")]
    shard: Option<String>,
}

#[derive(Args)]
struct Search {
    #[command(flatten)]
    which: Which,
    /// Who asked.
    #[arg(long)]
    source: Option<String>,
    /// Of which trust domain.
    #[arg(long)]
    domain: Option<String>,
    /// Which agent, or what an action was for.
    #[arg(long)]
    target: Option<String>,
    /// Which skill.
    #[arg(long)]
    skill: Option<String>,
    /// What was asked for: send, cancel, agents.add, oauth.token, config.reload, …
    #[arg(long)]
    operation: Option<String>,
    /// How it ended.
    #[arg(long, value_parser = PossibleValuesParser::new(moongate_audit::RESULTS))]
    result: Option<String>,
    /// The problem's code.
    #[arg(long)]
    code: Option<String>,
    /// The request's id.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// The trace that it belongs to.
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// The task that it names, that came of it, or that it was done to.
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// At this time or later: 2026-11-27, 2026-11-27T18:30.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<String>,
    /// The most lines; of more, the last ones.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

/// Carries the command out.
pub(crate) fn audit(context: &Context, arguments: &Audit) -> Result<Ending, Failure> {
    match &arguments.command {
        Command::Verify(arguments) => verified(context, arguments),
        Command::Prove(arguments) => prove(context, arguments),
        Command::Export(arguments) => exported(context, arguments),
        Command::Search(arguments) => search(context, arguments),
    }
}

/// A log to read, and the key that it has to be signed with.
struct Open {
    files: Files,
    key: VerifyingKey,
    /// The shard before it, and the mark, if it is the gateway's own.
    before: Option<Files>,
    mark: Option<PathBuf>,
}

fn config(context: &Context) -> Result<Config, Failure> {
    Ok(moongate_config::load(&context.config, &rules::check)?.config)
}

/// The logs that the arguments name: one, or for `all` every month.
fn open(context: &Context, which: &Which, all: bool) -> Result<Vec<Open>, Failure> {
    let vkey = which.vkey.as_deref().map(key_in).transpose()?;
    if let Some(dir) = &which.dir {
        if !dir.is_dir() {
            let what = format!("there is no folder {}", dir.display());
            return Err(Problem::new(Code::AuditOff, what).into());
        }
        let files = Files::at(dir);
        let key = vkey.map_or_else(|| files.vkey(), Ok)?;
        return Ok(vec![Open { files, key, before: None, mark: None }]);
    }
    let config = config(context)?;
    let place = record::place(&config);
    let shards = match Files::shards(&place.folder) {
        // What is missing is told of the log as a whole.
        Err(problem) if all && problem.code == Code::AuditOff => return Ok(Vec::new()),
        shards => shards?,
    };
    let wanted = match (&which.shard, all) {
        (Some(shard), _) => vec![shard.clone()],
        (None, true) => shards.iter().map(|(name, _)| name.clone()).collect(),
        (None, false) => shards.last().map(|(name, _)| name.clone()).into_iter().collect(),
    };
    let find = |name: &String| {
        let at = shards.iter().position(|(known, _)| known == name);
        let at = at.ok_or_else(|| Problem::new(Code::NoSuchEntryLogged, format!("there is no shard {name}")))?;
        let files = shards.get(at).map(|(_, files)| files.clone());
        let before = at.checked_sub(1).and_then(|at| shards.get(at)).map(|(_, files)| files.clone());
        let origin = format!("{}/audit/{name}", config.domain);
        let key = vkey.clone().map_or_else(|| record::verifying(&place, name), |key| Ok(key.named(&origin)))?;
        let files = files.unwrap_or_else(|| Files::at(place.folder.join(name)));
        Ok(Open { files, key, before, mark: Some(place.mark.clone()) })
    };
    Ok(wanted.iter().map(find).collect::<Result<_, Problem>>()?)
}

/// The one log that the arguments name.
fn one(context: &Context, which: &Which) -> Result<Open, Failure> {
    let missing = || Failure::from(Problem::new(Code::AuditOff, "there is no audit log"));
    open(context, which, false)?.pop().ok_or_else(missing)
}

fn key_in(path: &Path) -> Result<VerifyingKey, Problem> {
    VerifyingKey::parse(&text_of(path)?).ok_or_else(|| failed(format!("{} holds no public key", path.display())))
}

fn text_of(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| failed(format!("{}: {error}", path.display())))
}

fn verified(context: &Context, arguments: &Verify) -> Result<Ending, Failure> {
    let mut saved = Vec::new();
    for path in &arguments.checkpoint {
        saved.push((path.display().to_string(), text_of(path)?.into_bytes()));
    }
    let (all, which) = (saved.is_empty(), arguments.which.which());
    let witnesses = arguments.witness.iter().map(|path| key_in(path)).collect::<Result<Vec<_>, _>>()?;
    let of_all = as_a_whole(context, &which)?;
    let mut holds = of_all.is_empty();
    let mut views = Vec::new();
    let months = open(context, &which, all)?;
    let start = start(&which, all, &months)?;
    for Open { files, key, before, mark } in months {
        if mark.is_some() && files.only_begun() {
            talk(&format!("{} was begun and not signed yet", key.name()));
            continue;
        }
        let mut known = saved.clone();
        let witnessed = files.witnessed_up_to(u64::MAX).into_iter();
        known.extend(witnessed.map(|note| ("what a witness signed".to_owned(), note.into_bytes())));
        let mut report = verify(&files, &key, &known, mark.as_deref())?;
        if let Some(before) = before.filter(|_| report.size > 0) {
            report.findings.extend(follows(&files, &before)?);
        }
        for witness in &witnesses {
            report.findings.extend(signed_by(witness, &files, &key));
        }
        holds &= report.findings.is_empty();
        if context.json { views.push(lines::report(&report)) } else { show(&report) }
    }
    let ending = if holds { Ending::Yes } else { Ending::No };
    if context.json {
        let of_all: Vec<&String> = of_all.iter().map(|finding| &finding.what).collect();
        data(&json!({ "shards": views, "begins": start, "findings": of_all }).to_string());
        return Ok(ending);
    }
    of_all.iter().for_each(|finding| data(&format!("NOT OK: {}", finding.what)));
    start.iter().for_each(|start| talk(start));
    if !holds {
        talk("hint: nothing was changed; keep the folder as it is. docs/guide/audit.md says what each finding means");
    }
    Ok(ending)
}

/// What is wrong with the gateway's own log beside its months.
fn as_a_whole(context: &Context, which: &Which) -> Result<Vec<Finding>, Failure> {
    if which.dir.is_some() {
        return Ok(Vec::new());
    }
    let config = config(context)?;
    let place = record::place(&config);
    let origin = format!("{}/audit/-", config.domain);
    let key = match &which.vkey {
        Some(path) => key_in(path)?.named(&origin),
        None => record::verifying(&place, "-")?,
    };
    Ok(whole(&place, &key)?)
}

/// What is to be said of a log whose first months are not there.
fn start(which: &Which, all: bool, months: &[Open]) -> Result<Option<String>, Failure> {
    if !all || which.shard.is_some() || which.dir.is_some() {
        return Ok(None);
    }
    let files: Vec<Files> =
        months.iter().map(|month| month.files.clone()).filter(|files| !files.only_begun()).collect();
    Ok(match beginning(&files) {
        // What is wrong with such files is told as a finding.
        Err(_) | Ok(Beginning::First | Beginning::Gone(_)) => None,
        Ok(Beginning::Removed(origin)) => Some(format!(
            "it starts later: {origin} and what was before is not kept any longer, and the line that says so fits"
        )),
    })
}

/// What is wrong if a witness has not signed.
fn signed_by(witness: &VerifyingKey, files: &Files, key: &VerifyingKey) -> Option<Finding> {
    let what = match files.covered_by(witness, key) {
        Some((size, _)) => {
            talk(&format!("{} has signed {size} lines of {}", witness.name(), key.name()));
            return None;
        }
        None if witness.cosigns() => format!("{} has not signed any checkpoint that lies here", witness.name()),
        None => format!("{} is the key of a log, not of a witness", witness.name()),
    };
    Some(Finding { line: None, what })
}

/// So many findings are shown; where one line is wrong, all that follow may be.
const SHOWN: usize = 20;

fn show(report: &Report) {
    let root = report.root.map_or_else(|| "unknown".to_owned(), |root| root.to_string());
    let verdict = if report.findings.is_empty() { "ok" } else { "NOT OK" };
    data(&format!("{}  {} lines  root {root}  {verdict}", report.origin, report.size));
    if report.unsigned > 0 {
        talk(&format!("{} lines came after the last checkpoint", report.unsigned));
    }
    for finding in report.findings.iter().take(SHOWN) {
        let line = finding.line.map_or(String::new(), |line| format!("line {line}: "));
        data(&format!("  {line}{}", finding.what));
    }
    if report.findings.len() > SHOWN {
        data(&format!("  and {} more", report.findings.len() - SHOWN));
    }
}

fn prove(context: &Context, arguments: &Prove) -> Result<Ending, Failure> {
    if arguments.line.is_none() && arguments.request.is_none() && arguments.since.is_none() {
        let what = "what is to be proven? LINE (its number), --request ID (the request's last line), or --since FILE (only grown)";
        return Err(failed(what).into());
    }
    let log = one(context, &arguments.which)?;
    if let Some(since) = &arguments.since {
        return grown(context, &log, since);
    }
    let index = match (&arguments.line, &arguments.request) {
        (Some(line), _) => *line,
        (None, request) => {
            let request = request.clone().unwrap_or_default();
            let wanted = Wanted { members: vec![("request", request.clone())], limit: 1, ..Wanted::default() };
            let Some(found) = log.files.search(&wanted, &log.key)?.pop() else {
                talk(&format!("the log has no line of the request {request}"));
                return Ok(Ending::No);
            };
            found.index
        }
    };
    let proven = log.files.prove(index, &log.key)?;
    let line = String::from_utf8_lossy(&proven.line).into_owned();
    let path: Vec<String> = proven.path.iter().map(ToString::to_string).collect();
    if context.json {
        let checkpoint = &proven.signed.text;
        let proof =
            json!({"index": index, "line": line, "path": path, "checkpoint": checkpoint, "vkey": log.key.to_string()});
        data(&proof.to_string());
    } else {
        // C2SP tlog-proof: what an outsider needs beside the line and the key.
        data(&format!("c2sp.org/tlog-proof@v1\nindex {index}"));
        path.iter().for_each(|hash| data(hash));
        data("");
        data(proven.signed.text.trim_end());
        talk(&line);
    }
    Ok(Ending::Yes)
}

/// Proves that the log has only grown since a checkpoint.
fn grown(context: &Context, log: &Open, since: &Path) -> Result<Ending, Failure> {
    let note = text_of(since)?;
    let old = moongate_audit::Signed::open(note.as_bytes(), &log.key);
    let old = old.ok_or_else(|| failed(format!("{} is no checkpoint of this log", since.display())))?.checkpoint;
    let (path, now) = log.files.growth(old.size, &log.key)?;
    let new = &now.checkpoint;
    let holds = check_growth(old.size, old.root, new.size, new.root, &path);
    let path: Vec<String> = path.iter().map(ToString::to_string).collect();
    if context.json {
        data(
            &json!({"old": old.size, "size": new.size, "path": path, "checkpoint": now.text, "ok": holds}).to_string(),
        );
    } else {
        path.iter().for_each(|hash| data(hash));
        let verdict = if holds { "has only grown" } else { "is NOT the same one grown" };
        talk(&format!("{} {verdict}: {} lines then, {} now", log.key.name(), old.size, new.size));
    }
    Ok(if holds { Ending::Yes } else { Ending::No })
}

fn exported(context: &Context, arguments: &Export) -> Result<Ending, Failure> {
    let which = Which { shard: arguments.shard.clone(), dir: None, vkey: None };
    let log = one(context, &which)?;
    let exported = export(&log.files, &log.key, &arguments.out)?;
    let size = exported.signed.checkpoint.size;
    if context.json {
        data(
            &json!({"written": arguments.out, "size": size, "tiles": exported.tiles, "vkey": log.key.to_string()})
                .to_string(),
        );
    } else {
        data(&arguments.out.display().to_string());
        talk(&format!(
            "{size} lines in {} tiles; whoever verifies them needs the key from elsewhere: {}",
            exported.tiles, log.key
        ));
    }
    Ok(Ending::Yes)
}

fn moment(text: &str) -> Result<String, String> {
    match moongate_audit::is_moment(text) {
        true => Ok(text.to_owned()),
        false => Err("it is no day or moment in UTC, as 2026-11-28 or 2026-11-28T01:00".to_owned()),
    }
}

fn search(context: &Context, arguments: &Search) -> Result<Ending, Failure> {
    let log = one(context, &arguments.which)?;
    let asked = [
        ("source", &arguments.source),
        ("domain", &arguments.domain),
        ("target", &arguments.target),
        ("skill", &arguments.skill),
        ("operation", &arguments.operation),
        ("result", &arguments.result),
        ("code", &arguments.code),
        ("request", &arguments.request),
        ("trace", &arguments.trace),
    ];
    let members = asked.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let Search { task, since, before, limit, .. } = arguments;
    let (task, since, before) = (task.clone(), since.clone(), before.clone());
    let found =
        log.files.search(&Wanted { members, task, since, before, limit: *limit, ..Wanted::default() }, &log.key)?;
    for one in &found {
        if context.json { data(&one.leaf.to_string()) } else { data(&told(one.index, &one.leaf)) }
    }
    Ok(if found.is_empty() { Ending::No } else { Ending::Yes })
}

/// A line for people.
fn told(index: u64, leaf: &Value) -> String {
    let text = |place: &str| leaf.pointer(place).and_then(Value::as_str).unwrap_or("-").to_owned();
    let code = leaf.get("code").and_then(Value::as_str).map_or(String::new(), |code| format!(" {code}"));
    format!(
        "{index:>7}  {}  {:<16} {} → {} {}  {}{code}",
        text("/ts"),
        text("/operation"),
        text("/source/id"),
        text("/target"),
        text("/skill"),
        text("/result"),
    )
}
