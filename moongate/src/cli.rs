//! The command line. Data goes to stdout, talk to stderr; exit 0 is yes, 1 is no, 2 is an error.

mod agents;
mod approve;
mod audit;
mod backup;
mod ca;
mod check;
mod client;
mod clients;
mod completions;
mod console;
mod doctor;
mod explain;
mod init;
mod noted;
pub(crate) mod output;
mod run;
mod send;
mod tap;
mod tasks;
mod token;
mod top;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use output::Failure;
pub(crate) use run::{runtime, terminated};

/// What a command ends with.
pub(crate) enum Ending {
    /// Yes.
    Yes,
    /// No: the command worked, its answer is no.
    No,
}

/// The gateway where agents of different homes, vehicles and companies meet.
#[derive(Parser)]
#[command(name = "moongate", version, about, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "moongate.toml")]
    config: PathBuf,
    /// Print JSON where something is printed.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Run,
    /// Show a whole home on this machine: three agents, a gateway before them, and the scene "away mode".
    Demo(crate::demo::Demo),
    /// Write a configuration file that explains itself.
    Init(init::Init),
    /// Check the configuration file.
    Check,
    /// Show which way a request would take through the running gateway, without sending it on.
    Explain(explain::Explain),
    /// List, add and remove agents of the running gateway.
    Agents(agents::Agents),
    /// Send a message through the running gateway and print what comes back.
    Send(send::Send),
    /// List, show and answer the requests that wait for a person's yes.
    Approve(approve::Approve),
    /// List, show, follow and steer the tasks of the running gateway.
    Tasks(tasks::Tasks),
    /// List, add and remove programs that may ask the running gateway for access tokens.
    Clients(clients::Clients),
    /// List and revoke the access tokens of the running gateway, and replace the key that signs them.
    Token(token::Token),
    /// List, add and remove people who may sign in at the running gateway's pages.
    Users(users::Users),
    /// Show how the running gateway fares, in figures that renew themselves.
    Top(top::Top),
    /// Print what happens at the running gateway, a line each, as it happens.
    Tap(tap::Tap),
    /// Get a link into the running gateway's console, for a browser on this machine.
    Console,
    /// Look the gateway over: configuration, folders, keys, store.
    Doctor,
    /// Copy the store to a new file, while the gateway runs or not.
    Backup(backup::Backup),
    /// The log that nobody can change quietly: verify, prove, export, search.
    Audit(audit::Audit),
    /// The gateway's own authority: issue certificates, take them back, publish the list of those.
    Ca(ca::Authority),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// An agent of the demonstration; started by `moongate demo`.
    #[command(hide = true)]
    DemoAgent(crate::demo::DemoAgent),
}

/// Everything that a command may want to know of how it was called.
pub(crate) struct Context {
    pub(crate) config: PathBuf,
    pub(crate) json: bool,
}

/// Reads the command line and carries it out.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context { config: cli.config, json: cli.json };
    let result = match cli.command {
        None => {
            let _ = Cli::command().print_long_help();
            Ok(Ending::Yes)
        }
        Some(Command::Run) => run::run(&context),
        Some(Command::Demo(demo)) => crate::demo::demo(&context, &demo),
        Some(Command::DemoAgent(agent)) => crate::demo::agent(&agent),
        Some(Command::Init(init)) => init::init(&context, &init),
        Some(Command::Check) => check::check(&context),
        Some(Command::Explain(explain)) => explain::explain(&context, &explain),
        Some(Command::Agents(agents)) => agents::agents(&context, &agents),
        Some(Command::Send(send)) => send::send(&context, &send),
        Some(Command::Approve(arguments)) => approve::approve(&context, &arguments),
        Some(Command::Tasks(tasks)) => tasks::tasks(&context, &tasks),
        Some(Command::Clients(clients)) => clients::clients(&context, &clients),
        Some(Command::Token(token)) => token::token(&context, &token),
        Some(Command::Users(users)) => users::users(&context, &users),
        Some(Command::Top(arguments)) => top::top(&context, &arguments),
        Some(Command::Tap(arguments)) => tap::tap(&context, &arguments),
        Some(Command::Console) => console::console(&context),
        Some(Command::Doctor) => doctor::doctor(&context),
        Some(Command::Backup(backup)) => backup::backup(&context, &backup),
        Some(Command::Audit(audit)) => audit::audit(&context, &audit),
        Some(Command::Ca(authority)) => ca::authority(&context, &authority),
        Some(Command::Completions(completions)) => completions::completions(&completions, Cli::command()),
    };
    match result {
        Ok(Ending::Yes) => ExitCode::SUCCESS,
        Ok(Ending::No) => ExitCode::from(1),
        Err(failure) => {
            failure.print();
            ExitCode::from(2)
        }
    }
}
