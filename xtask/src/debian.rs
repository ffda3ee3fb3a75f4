//! Programs that a step needs beside Rust: found, or installed as Debian packages by root, or named with the command
//! that installs them. Never skipped over.

use std::process::{Command, Stdio};

/// A program, and how to have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    name: &'static str,
    /// A command that succeeds where the program is usable.
    probe: &'static [&'static str],
    packages: &'static [&'static str],
}

/// The C compiler, for SQLite and aws-lc.
pub(crate) const CC: Tool = Tool { name: "a C compiler", probe: &["cc", "--version"], packages: &["gcc", "libc6-dev"] };
/// The C++ compiler, for libFuzzer.
pub(crate) const CXX: Tool = Tool { name: "a C++ compiler", probe: &["c++", "--version"], packages: &["g++"] };
/// Python with what makes environments, for the foreign A2A libraries.
pub(crate) const PYTHON: Tool = Tool {
    name: "Python 3 with venv",
    probe: &["python3", "-c", "import venv, ensurepip"],
    packages: &["python3", "python3-venv"],
};

/// npm, for the foreign A2A libraries; it brings a newer Node where the system's is too old.
pub(crate) const NPM: Tool = Tool { name: "npm", probe: &["npm", "--version"], packages: &["nodejs", "npm"] };
/// The browser that visits the pages.
pub(crate) const CHROMIUM: Tool = Tool { name: "chromium", probe: &["chromium", "--version"], packages: &["chromium"] };
/// A broker, and a client that listens to it.
pub(crate) const MOSQUITTO: Tool = Tool {
    name: "mosquitto",
    probe: &["sh", "-c", "command -v mosquitto && command -v mosquitto_sub"],
    packages: &["mosquitto", "mosquitto-clients"],
};
/// The other maker of certificates, clients and revocation lists.
pub(crate) const OPENSSL: Tool = Tool { name: "openssl", probe: &["openssl", "version"], packages: &["openssl"] };
/// A scanner of TLS listeners.
pub(crate) const TESTSSL: Tool =
    Tool { name: "testssl", probe: &["testssl", "--version"], packages: &["testssl.sh", "openssl"] };
/// Slow requests of every kind.
pub(crate) const SLOWHTTPTEST: Tool =
    Tool { name: "slowhttptest", probe: &["sh", "-c", "command -v slowhttptest"], packages: &["slowhttptest"] };
/// Go with its own transparency log, which reads ours.
pub(crate) const GO: Tool = Tool {
    name: "Go with golang.org/x/mod",
    probe: &["sh", "-c", "go version && test -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog"],
    packages: &["golang-go", "golang-golang-x-mod-dev"],
};
/// Makes the kernel answer otherwise than it would: a disk that fails.
pub(crate) const STRACE: Tool = Tool { name: "strace", probe: &["strace", "-V"], packages: &["strace"] };
/// What the benchmark compares with.
pub(crate) const NGINX: Tool = Tool { name: "nginx", probe: &["nginx", "-v"], packages: &["nginx"] };
/// What counts instructions.
pub(crate) const VALGRIND: Tool = Tool { name: "valgrind", probe: &["valgrind", "--version"], packages: &["valgrind"] };

/// Sees to it that the tool is there.
///
/// # Errors
/// It is not, and cannot be installed; says by which command it could.
pub(crate) fn ensure(tool: Tool) -> Result<(), String> {
    if succeeds(tool.probe) {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", tool.packages.join(" "));
    let missing = format!("{} is missing; install it by `{install}`", tool.name);
    if !succeeds(&["apt-get", "--version"]) {
        return Err(format!("{missing}, or with this system's own means"));
    }
    if !is_root() {
        return Err(format!("{missing} as root"));
    }
    println!("installing: {install}");
    let words: Vec<&str> = install.split(' ').collect();
    let installed = apt(&words) || apt(&["apt-get", "update"]) && apt(&words);
    if !installed {
        return Err(format!("{missing} (it failed just now)"));
    }
    if succeeds(tool.probe) { Ok(()) } else { Err(format!("{missing} (installed just now, and still not usable)")) }
}

/// Whether a command can be started and says yes. Silent.
pub(crate) fn succeeds(words: &[&str]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn apt(words: &[&str]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let told = Command::new("id").arg("-u").output();
    told.is_ok_and(|told| told.stdout.trim_ascii() == b"0")
}
