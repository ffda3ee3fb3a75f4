//! What a developer of Moongate runs, and what CI runs: `cargo xtask test`, `tidy`, `docs`, `setup`, `fuzz`, `bench`,
//! `soak`.
//!
//! [`tidy`] is the house's style as a test; [`tasks`] holds the commands that start other programs, [`step`] runs those
//! one after the other and says how each ended. Standard library and JSON only, so that the first command on a new
//! machine builds within seconds.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks")]
#![allow(clippy::disallowed_methods, reason = "a tool reads its environment, measures time and waits for programs")]

mod debian;
mod source;
mod step;
mod tasks;
mod tidy;
mod tree;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [STEP…]     everything that must hold, as CI runs it; with names, only the steps whose names begin so
  tidy             layers, sizes, names, documents and tables
  docs             writes what is made from the source: docs/errors/README.md, docs/reference/configuration.md
  setup            installs what the tests need: Debian packages, and the foreign A2A libraries of testkit/grid
  fuzz [SECONDS]   each fuzz target for so long; 60 unless told
  bench            the benchmark; results in bench/results
  soak             the long run: the grid three times, 200 kills, five minutes for each fuzz target, the benchmark
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", steps @ ..] => tasks::test(steps),
        ["tidy"] => tidy::command(),
        ["docs"] => tasks::docs(),
        ["setup"] => tasks::setup(),
        ["fuzz"] => tasks::fuzz(60),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => tasks::fuzz(seconds),
            Err(_) => Err(format!("`{seconds}` is not a number of seconds")),
        },
        ["bench"] => tasks::bench(),
        ["soak"] => tasks::soak(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [other, ..] => Err(format!("there is no command `{other}`\n\n{USAGE}")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::from(2)
        }
    }
}
