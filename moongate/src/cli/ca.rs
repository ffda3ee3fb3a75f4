//! `moongate ca`: the gateway's own authority, by its files. What changes something is in the audit log first (`noted.rs`).

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use moongate_core::seam::Clock;
use moongate_core::{Problem, Time};
use moongate_identity::ca::{Entry, Office, Reason, Request, rfc3339};
use serde_json::{Value, json};

use super::agents::encoded;
use super::noted::{self, Noted};
use super::output::{data, talk};
use super::{Context, Ending, Failure};
use crate::wire_up;

/// Arguments.
#[derive(Args)]
pub(crate) struct Authority {
    /// The authority's folder; `tls.ca_dir` of the configuration if absent.
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Make the authority before the gateway's first start makes it.
    Init,
    /// Issue a certificate with a key of its own.
    Issue(Issue),
    /// Take a certificate back; it is refused wherever the next list arrives.
    Revoke(Revoke),
    /// Sign the list of what was taken back, for others to fetch.
    Crl(List),
    /// All certificates that were issued.
    List,
    /// One certificate, or the authority itself.
    Show {
        /// What the certificate is called; the authority if absent.
        name: Option<String>,
        /// Its serial number instead.
        #[arg(long, value_name = "HEX", conflicts_with = "name")]
        serial: Option<String>,
    },
}

#[derive(Args)]
struct Issue {
    /// What it is called; its files are NAME.pem and NAME.key.
    name: String,
    /// Its holder calls others: a device, an agent, a gateway.
    #[arg(long, requires = "spiffe")]
    client: bool,
    /// Whom it names: spiffe://DOMAIN/path, in this gateway's own domain.
    #[arg(long, value_name = "ID")]
    spiffe: Option<String>,
    /// A host that it names; its holder is called by others. May be repeated.
    #[arg(long, value_name = "HOST")]
    dns: Vec<String>,
    /// An address that it names; its holder is called by others. May be repeated.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<String>,
    /// How long it holds, 1 to 397; 30 days for clients and 90 for others if absent.
    #[arg(long)]
    days: Option<u32>,
    /// The folder of its files; the authority's if absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files of that name. The certificate before holds on until it is revoked or runs out.
    #[arg(long)]
    replace: bool,
}

#[derive(Args)]
struct Revoke {
    /// What it is called; all certificates of that name are taken back.
    #[arg(required_unless_present = "serial")]
    name: Option<String>,
    /// Its serial number instead.
    #[arg(long, value_name = "HEX", conflicts_with = "name")]
    serial: Option<String>,
    /// Why.
    #[arg(long, default_value = "unspecified", value_parser = PossibleValuesParser::new(Reason::ALL.map(|(word, _)| word)))]
    reason: String,
}

#[derive(Args)]
struct List {
    /// How long it holds; sign a new one well before.
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// Its file; crl.pem in the authority's folder if absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write DER instead of PEM.
    #[arg(long)]
    der: bool,
}

/// Carries the command out.
pub(crate) fn authority(context: &Context, arguments: &Authority) -> Result<Ending, Failure> {
    let loaded = moongate_config::load(&context.config, &wire_up::rules::check)?;
    let folder = arguments.dir.as_ref().unwrap_or(&loaded.config.tls.ca_dir);
    let domain = &loaded.config.domain;
    let now = moongate_telemetry::SystemClock.now();
    let open = || Office::open(folder, domain, now);
    // What changes something is in the log first.
    let noted = |operation: &'static str, name: &str| {
        let verb = operation.trim_start_matches("ca.");
        noted::note(&loaded.config, operation, name, &format!("/api/v1/ca/{}:{verb}", encoded(name)))
    };
    match arguments.command.as_ref().unwrap_or(&Command::List) {
        Command::Init => {
            let office = noted("ca.init", "-")?.ended(Office::found(folder, domain, now))?;
            init(context, &office);
            Ok(Ending::Yes)
        }
        Command::Issue(arguments) => {
            let mut office = open()?;
            let noted = noted("ca.issue", &arguments.name)?;
            issue(context, &mut office, arguments, now, noted)
        }
        Command::Revoke(arguments) => {
            let mut office = open()?;
            let which = arguments.name.as_deref().or(arguments.serial.as_deref()).unwrap_or("-");
            let noted = noted("ca.revoke", which)?;
            revoke(context, &mut office, arguments, now, noted)
        }
        Command::Crl(arguments) => {
            let mut office = open()?;
            let noted = noted("ca.crl", "-")?;
            publish(context, &mut office, arguments, now, noted)
        }
        Command::List => {
            list(context, &open()?, now);
            Ok(Ending::Yes)
        }
        Command::Show { name, serial } => show(context, &open()?, name.as_deref(), serial.as_deref(), now),
    }
}

fn init(context: &Context, office: &Office) {
    let certificate = office.folder().join("ca.pem");
    if context.json {
        data(&json!({ "certificate": certificate, "not_after": rfc3339(office.ca().not_after()) }).to_string());
    } else {
        data(&certificate.display().to_string());
        talk("Clients trust what it signs by this file. Whoever has ca.key, beside it, can be anybody: keep it.");
    }
}

fn issue(
    context: &Context,
    office: &mut Office,
    arguments: &Issue,
    now: Time,
    noted: Noted,
) -> Result<Ending, Failure> {
    let request = Request {
        name: arguments.name.clone(),
        client: arguments.client,
        spiffe: arguments.spiffe.clone(),
        dns: arguments.dns.clone(),
        ip: arguments.ip.clone(),
        days: arguments.days,
    };
    let to = arguments.out.clone().unwrap_or_else(|| office.folder().to_owned());
    let issued = noted.ended(office.issue(&request, &to, arguments.replace, now))?;
    if context.json {
        let mut view = view(&issued.entry, now);
        if let Some(members) = view.as_object_mut() {
            members.insert("certificate".to_owned(), json!(issued.certificate));
            members.insert("key".to_owned(), json!(issued.key));
        }
        data(&view.to_string());
    } else {
        data(&issued.certificate.display().to_string());
        data(&issued.key.display().to_string());
        let end = rfc3339(issued.entry.not_after);
        talk(&format!("serial {}, until {end}, pin sha256:{}", issued.entry.serial, issued.entry.key_sha256));
    }
    Ok(Ending::Yes)
}

fn revoke(
    context: &Context,
    office: &mut Office,
    arguments: &Revoke,
    now: Time,
    noted: Noted,
) -> Result<Ending, Failure> {
    let reason = Reason::parse(&arguments.reason).unwrap_or_default();
    let taken = noted.ended(match (&arguments.serial, &arguments.name) {
        (Some(serial), _) => office.revoke_serial(serial, reason, now),
        (None, name) => office.revoke_named(name.as_deref().unwrap_or_default(), reason, now),
    })?;
    if context.json {
        data(&json!({ "revoked": views(&taken, now) }).to_string());
    } else if taken.is_empty() {
        talk("it was revoked before, or has run out");
    } else {
        taken.iter().for_each(|entry| data(&entry.serial));
        talk("It still works where the list does not show it: publish a new one by `moongate ca crl`.");
    }
    Ok(if taken.is_empty() { Ending::No } else { Ending::Yes })
}

fn publish(
    context: &Context,
    office: &mut Office,
    arguments: &List,
    now: Time,
    noted: Noted,
) -> Result<Ending, Failure> {
    let list = noted.ended(office.publish(arguments.days, arguments.out.as_deref(), arguments.der, now))?;
    let end = rfc3339(list.next_update);
    if context.json {
        let view = json!({ "file": list.path, "number": list.number, "next_update": end, "entries": list.entries });
        data(&view.to_string());
    } else {
        data(&list.path.display().to_string());
        talk(&format!("number {}, {} revoked, until {end}", list.number, list.entries));
    }
    Ok(Ending::Yes)
}

fn list(context: &Context, office: &Office, now: Time) {
    if context.json {
        data(&json!({ "certificates": views(office.entries(), now) }).to_string());
        return;
    }
    if office.entries().is_empty() {
        data("no certificates; issue one with `moongate ca issue NAME`");
    }
    for entry in office.entries() {
        let names = entry.spiffe.iter().chain(&entry.hosts).cloned().collect::<Vec<_>>().join(", ");
        let until = rfc3339(entry.not_after);
        data(&format!("{:<16} {:<8} {until} {} {names}", entry.name, state(entry, now), entry.serial));
    }
}

fn show(
    context: &Context,
    office: &Office,
    name: Option<&str>,
    serial: Option<&str>,
    now: Time,
) -> Result<Ending, Failure> {
    let found: Vec<Entry> = match (serial, name) {
        (Some(serial), _) => vec![office.of_serial(serial)?.clone()],
        (None, Some(name)) => office.entries().iter().filter(|entry| entry.name == name).cloned().collect(),
        (None, None) => {
            let view = json!({
                "certificate": office.folder().join("ca.pem"),
                "not_after": rfc3339(office.ca().not_after()),
                "issued": office.entries().len(),
                "revoked": office.entries().iter().filter(|entry| entry.revoked.is_some()).count(),
                "list_number": office.list_number(),
            });
            data(&printed(context, &view));
            return Ok(Ending::Yes);
        }
    };
    if found.is_empty() {
        let words = format!("no certificate called {} was issued here", name.unwrap_or_default());
        return Err(Problem::new(moongate_core::Code::NotIssued, words).into());
    }
    data(&printed(context, &views(&found, now)));
    Ok(Ending::Yes)
}

fn printed(context: &Context, view: &Value) -> String {
    if context.json { view.to_string() } else { serde_json::to_string_pretty(view).unwrap_or_default() }
}

fn views(entries: &[Entry], now: Time) -> Value {
    entries.iter().map(|entry| view(entry, now)).collect()
}

fn view(entry: &Entry, now: Time) -> Value {
    let revoked = entry.revoked.map(|revoked| json!({ "at": rfc3339(revoked.at), "reason": revoked.reason }));
    json!({
        "name": entry.name,
        "serial": entry.serial,
        "state": state(entry, now),
        "spiffe": entry.spiffe,
        "hosts": entry.hosts,
        "client": entry.client,
        "pin": format!("sha256:{}", entry.key_sha256),
        "issued_at": rfc3339(entry.issued_at),
        "not_after": rfc3339(entry.not_after),
        "revoked": revoked,
    })
}

fn state(entry: &Entry, now: Time) -> &'static str {
    match entry.revoked {
        Some(_) => "revoked",
        None if entry.in_force(now) => "valid",
        None => "expired",
    }
}
