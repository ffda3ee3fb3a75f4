//! Processes under measurement: started, watched through `/proc`, and stopped by their own id when this tool ends.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::fault::Fault;

/// Linux promises programs clock ticks of 10 ms, whatever the kernel's own are (`USER_HZ`).
const TICK_US: f64 = 10_000.0;

/// How long a process may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(30);

/// A child process and its own children.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

/// What a process and its children have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// Processor time in user and kernel mode since the start, in microseconds.
    pub(crate) cpu_us: f64,
    /// Resident memory (`VmRSS`), added up over the processes, in KiB.
    pub(crate) rss_kib: u64,
}

impl Process {
    /// Starts one.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self, Fault> {
        let child = command.spawn().map_err(|error| {
            let program = Path::new(command.get_program()).display().to_string();
            Fault::new("start", format!("{name}: {program} cannot be started: {error}"))
        })?;
        Ok(Self { name, child })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Fails if the process has ended.
    pub(crate) fn check(&mut self) -> Result<(), Fault> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Fault::new("ended", format!("{} ended by itself ({status})", self.name))),
            Err(error) => Err(Fault::new("ended", format!("{}: {error}", self.name))),
        }
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait_for(&mut self, limit: Duration, ready: impl Fn() -> bool) -> Result<(), Fault> {
        let until = Instant::now() + limit;
        loop {
            self.check()?;
            if ready() {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Fault::new("not-ready", format!("{} was not ready after {limit:?}", self.name)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it and its children have used so far.
    pub(crate) fn usage(&self) -> Usage {
        let own = self.child.id();
        let mut total = Usage::default();
        let Ok(entries) = std::fs::read_dir("/proc") else { return total };
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Some(stat) = std::fs::read_to_string(entry.path().join("stat")).ok().and_then(|text| stat(&text))
            else {
                continue;
            };
            if pid == own || stat.parent == own {
                total.cpu_us += stat.ticks as f64 * TICK_US;
                let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
                total.rss_kib += rss_kib(&status).unwrap_or(0);
            }
        }
        total
    }

    /// Asks it to end and waits for that.
    pub(crate) fn stop(&mut self) -> Result<(), Fault> {
        if self.child.try_wait().ok().flatten().is_some() {
            return Ok(());
        }
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        asked.map_err(|error| Fault::new("stop", format!("{}: kill cannot be run: {error}", self.name)))?;
        let until = Instant::now() + STOP;
        while Instant::now() < until {
            if self.child.try_wait().ok().flatten().is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        Err(Fault::new("stop", format!("{} did not end within {STOP:?} of being asked to", self.name)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

struct Stat {
    parent: u32,
    ticks: u64,
}

/// Reads `/proc/PID/stat`: the name, in parentheses, may hold anything, so fields count from the last `)`.
fn stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}

fn rss_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_name_with_parentheses() {
        let text = "71 (a) b (c) S 12 71 71 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 1 0 100 1000 10";
        let stat = stat(text).unwrap();
        assert_eq!((stat.parent, stat.ticks), (12, 42));
    }

    #[test]
    fn resident_memory_is_read_from_status() {
        assert_eq!(rss_kib("Name:\tx\nVmRSS:\t   5120 kB\nThreads:\t1\n"), Some(5120));
        assert_eq!(rss_kib("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_is_measured_with_its_children_and_stopped() {
        let mut command = Command::new("sh");
        let mut process = Process::start("shell", command.args(["-c", "sleep 100 & wait"])).unwrap();
        let children = |process: &Process| {
            let own = process.child.id().to_string();
            let output = Command::new("ps").args(["--no-headers", "-o", "pid", "--ppid", &own]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        while children(&process).is_empty() {
            process.check().unwrap();
        }
        assert!(process.usage().rss_kib > 0);
        let orphans = children(&process);
        process.stop().unwrap();
        assert!(process.check().is_err());
        Command::new("kill").args(&orphans).status().unwrap();
    }
}
