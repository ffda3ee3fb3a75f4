//! Steps: commands run one after the other, each with what it needs and how long it may take, and a table of how they
//! ended. A step that cannot run is red, with the reason; the others run all the same.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::debian::{Tool, ensure};

/// What a step does.
pub(crate) enum Action {
    /// Runs these commands, up to the first that fails.
    Commands(Vec<Spell>),
    /// Calls this.
    Call(fn() -> Result<bool, String>),
}

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct Spell {
    words: Vec<String>,
    folder: String,
    limit: Duration,
    environment: Vec<(&'static str, String)>,
}

impl Spell {
    /// A command of words, in the root of the repository.
    pub(crate) fn new(words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { words, folder: ".".to_owned(), limit: Duration::from_secs(45 * 60), environment: Vec::new() }
    }

    /// In this folder instead.
    pub(crate) fn at(mut self, folder: &str) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// With this limit instead of 45 minutes.
    pub(crate) fn within(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// With a variable.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    fn run(&self, root: &Path) -> Result<(), String> {
        let shown = self.words.join(" ");
        println!("$ {}{shown}", if self.folder == "." { String::new() } else { format!("cd {} && ", self.folder) });
        let (program, arguments) = self.words.split_first().ok_or("a command without words")?;
        let folder = root.join(&self.folder);
        let program = if program.contains('/') { folder.join(program) } else { program.into() };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).envs(self.environment.iter().cloned()).stdin(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
        wait(&mut child, self.limit).map_err(|reason| format!("`{shown}` {reason}"))
    }
}

/// Waits for a program; after the limit it is asked to end, and ten seconds later it is ended.
fn wait(child: &mut Child, limit: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let mut asked = None;
    loop {
        match child.try_wait().map_err(|error| format!("cannot be waited for: {error}"))? {
            Some(_) if asked.is_some() => return Err(format!("took longer than {} s", limit.as_secs())),
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("failed ({status})")),
            None => {}
        }
        if asked.is_none() && begun.elapsed() > limit {
            asked = Some(Instant::now());
            crate::debian::succeeds(&["kill", "-TERM", &child.id().to_string()]);
        }
        if asked.is_some_and(|asked| asked.elapsed() > Duration::from_secs(10)) {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One step.
pub(crate) struct Step {
    name: String,
    tools: Vec<Tool>,
    needs: Vec<&'static str>,
    action: Action,
}

impl Step {
    /// A step of commands.
    pub(crate) fn new(name: impl Into<String>, commands: Vec<Spell>) -> Self {
        Self { name: name.into(), tools: Vec::new(), needs: Vec::new(), action: Action::Commands(commands) }
    }

    /// A step that calls a function.
    pub(crate) fn call(name: &str, function: fn() -> Result<bool, String>) -> Self {
        Self { name: name.to_owned(), tools: Vec::new(), needs: Vec::new(), action: Action::Call(function) }
    }

    /// Needs this tool.
    pub(crate) fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Makes sense only if that step passed, should it be among those that run.
    pub(crate) fn after(mut self, name: &'static str) -> Self {
        self.needs.push(name);
        self
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn run(&self, root: &Path, failed: &[String]) -> Result<(), String> {
        if let Some(need) = self.needs.iter().find(|need| failed.iter().any(|failed| failed == *need)) {
            return Err(format!("did not run, because `{need}` failed"));
        }
        self.tools.iter().try_for_each(|tool| ensure(*tool))?;
        match &self.action {
            Action::Commands(commands) => commands.iter().try_for_each(|command| command.run(root)),
            Action::Call(function) => match function() {
                Ok(true) => Ok(()),
                Ok(false) => Err("see above".to_owned()),
                Err(reason) => Err(reason),
            },
        }
    }
}

/// Runs the steps and prints the table, its last line `N passed, N failed`; whether all passed.
pub(crate) fn run(steps: &[Step], root: &Path) -> bool {
    let mut ended: Vec<Ended> = Vec::new();
    let mut failed = Vec::new();
    for step in steps {
        println!("\n== {}", step.name);
        let begun = Instant::now();
        let result = step.run(root, &failed);
        if let Err(reason) = &result {
            println!("FAILED: {reason}");
            failed.push(step.name.clone());
        }
        ended.push(Ended { name: step.name.clone(), took: begun.elapsed(), result });
    }
    print!("\n{}", table(&ended));
    failed.is_empty()
}

struct Ended {
    name: String,
    took: Duration,
    result: Result<(), String>,
}

fn table(ended: &[Ended]) -> String {
    let width = ended.iter().map(|step| step.name.len()).max().unwrap_or(0).max(4);
    let mut out = format!("{:width$}  {:6}  {:>9}\n", "step", "result", "time");
    for step in ended {
        let (word, reason) = match &step.result {
            Ok(()) => ("passed", String::new()),
            Err(reason) => ("FAILED", format!("  {}", reason.lines().next().unwrap_or_default())),
        };
        out += &format!("{:width$}  {word}  {:>7.1} s{reason}\n", step.name, step.took.as_secs_f64());
    }
    let passed = ended.iter().filter(|step| step.result.is_ok()).count();
    out + &format!("{passed} passed, {} failed\n", ended.len() - passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(steps: &[Step]) -> Vec<bool> {
        let mut failed = Vec::new();
        let mut results = Vec::new();
        for step in steps {
            let result = step.run(Path::new("/"), &failed);
            if result.is_err() {
                failed.push(step.name.clone());
            }
            results.push(result.is_ok());
        }
        results
    }

    #[test]
    fn a_failed_step_is_red_and_so_is_what_needs_it_but_nothing_else() {
        let steps = [
            Step::new("build", vec![Spell::new(&["true"]), Spell::new(&["false"])]),
            Step::new("run", vec![Spell::new(&["true"])]).after("build"),
            Step::new("format", vec![Spell::new(&["true"])]).after("lint"),
            Step::call("tidy", || Ok(false)),
            Step::new("gone", vec![Spell::new(&["there-is-no-such-program"])]),
        ];
        assert_eq!(all(&steps), [false, false, true, false, false]);
        assert!(!run(&steps, Path::new("/")));
        assert!(run(&steps[2..3], Path::new("/")));
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let begun = Instant::now();
        let result = Spell::new(&["sleep", "60"]).within(0).run(Path::new("/"));
        assert!(result.unwrap_err().contains("longer than 0 s"));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_table_ends_with_the_count() {
        let ended = [
            Ended { name: "format".into(), took: Duration::from_millis(1200), result: Ok(()) },
            Ended { name: "grid".into(), took: Duration::from_secs(60), result: Err("no Python\nmore".into()) },
        ];
        let expected = "step    result       time\nformat  passed      1.2 s\ngrid    FAILED     60.0 s  no Python\n1 passed, 1 failed\n";
        assert_eq!(table(&ended), expected);
    }
}
