//! A log that is not the one that was signed: the gateway does not start with it, and `moongate audit verify` says no, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::*;

const LISTEN: &str = "domain = \"home.example\"\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n[audit]\non = true\n";

/// The folder of the one month that a gateway has.
fn month(folder: &Path) -> Option<PathBuf> {
    let months = fs::read_dir(folder.join("audit/home.example")).ok()?;
    months.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.is_dir())
}

/// What somebody does to the files, under a name, and what is said of it.
type Change<'c> = (&'c str, &'c dyn Fn(&Path), &'c str);

#[tokio::test]
async fn what_a_start_refuses_verify_finds_and_what_verify_finds_is_explained() {
    let mut gateway = Gateway::start(MOONGATE, LISTEN).await;
    gateway.terminate().await;
    let kept = folder();
    let (mark, gone) = ("audit.home.example.mark", "Put the mark back from a copy");
    let unlink = |path: PathBuf| fs::remove_file(path).unwrap();
    let changes: [Change<'_>; 7] = [
        ("the mark", &|at| unlink(at.join(mark)), gone),
        (
            "a line, the checkpoint and the mark",
            &|at| {
                let entries = month(at).unwrap().join("entries");
                let text =
                    String::from_utf8_lossy(&fs::read(&entries).unwrap()).replace("gateway.start", "gateway.smart");
                fs::write(entries, text).unwrap();
                unlink(month(at).unwrap().join("checkpoint"));
                unlink(at.join(mark));
            },
            gone,
        ),
        (
            "the month and the mark",
            &|at| {
                fs::remove_dir_all(month(at).unwrap()).unwrap();
                unlink(at.join(mark));
            },
            gone,
        ),
        (
            "the folder and the mark",
            &|at| {
                fs::remove_dir_all(at.join("audit")).unwrap();
                unlink(at.join(mark));
            },
            gone,
        ),
        ("the folder", &|at| fs::remove_dir_all(at.join("audit")).unwrap(), "and the log is gone"),
        ("the checkpoint", &|at| unlink(month(at).unwrap().join("checkpoint")), "checkpoint"),
        (
            "a line behind the end",
            &|at| {
                let entries = month(at).unwrap().join("entries");
                let line = b"\x00\x2d{\"operation\":\"send\",\"result\":\"done\",\"seq\":99}";
                fs::write(&entries, [fs::read(&entries).unwrap(), line.to_vec()].concat()).unwrap();
            },
            "behind",
        ),
    ];
    assert_eq!(moongate(gateway.folder(), &["audit", "verify"]).await.status.code(), Some(0));
    copy(gateway.folder(), kept.path());
    for (what, change, says) in changes {
        change(gateway.folder());
        let refused = moongate(gateway.folder(), &["run"]).await;
        assert_eq!(refused.status.code(), Some(2), "{what}");
        assert!(err(&refused).contains("error[MG-085"), "{what}: {}", err(&refused));
        let found = moongate(gateway.folder(), &["audit", "fsck"]).await;
        assert_eq!(found.status.code(), Some(1), "{what}: {}{}", out(&found), err(&found));
        assert!(out(&found).contains("NOT OK") && out(&found).contains(says), "{what}: {}", out(&found));
        let found = moongate(gateway.folder(), &["--json", "audit", "verify"]).await;
        let told: Value = serde_json::from_str(&out(&found)).unwrap();
        let shards = told["shards"].as_array().unwrap().iter().any(|shard| shard["ok"] == false);
        assert!(shards || !told["findings"].as_array().unwrap().is_empty(), "{what}: {told}");
        let _ = fs::remove_dir_all(gateway.folder().join("audit"));
        copy(kept.path(), gateway.folder());
    }
    gateway.restart().await;
    let lines = moongate(gateway.folder(), &["audit", "verify"]).await;
    assert_eq!(lines.status.code(), Some(0), "{}{}", out(&lines), err(&lines));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// How far a start has come, under a name.
type Moment<'c> = (&'c str, &'c dyn Fn(&Path) -> bool);

/// A program that is killed when the test is over, however it ends.
struct Running(Child);

impl Running {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(MOONGATE);
        command.arg("run").current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
async fn a_first_start_that_is_killed_is_followed_by_a_second_one() {
    let toml = LISTEN.replace("{plain}", "127.0.0.1:0").replace("{admin}", "127.0.0.1:0");
    let file = |name: &'static str| move |folder: &Path| month(folder).is_some_and(|month| month.join(name).exists());
    let beside = |name: &'static str| move |folder: &Path| folder.join(name).exists();
    let moments: [Moment<'_>; 7] = [
        ("the folder", &beside("audit/home.example")),
        ("the mark", &beside("audit.home.example.mark")),
        ("the key", &beside("audit.key")),
        ("the month", &|folder| month(folder).is_some()),
        ("its file", &file("entries")),
        ("its first line", &file("hashes.0")),
        ("its first checkpoint", &file("checkpoint")),
    ];
    for (what, reached) in moments {
        let folder = folder();
        fs::write(folder.path().join("moongate.toml"), &toml).unwrap();
        let mut first = Running::start(folder.path());
        while !reached(folder.path()) {
            assert!(first.0.try_wait().unwrap().is_none(), "it ended before {what}");
            std::thread::yield_now();
        }
        first.kill();
        let mut second = Running::start(folder.path());
        eventually(what, || {
            assert!(second.0.try_wait().unwrap().is_none(), "killed at {what}, it does not start again");
            let folder = folder.path();
            async {
                moongate(folder, &["audit", "search", "--operation", "gateway.start"]).await.status.code() == Some(0)
            }
        })
        .await;
        let verified = moongate(folder.path(), &["audit", "verify"]).await;
        assert_eq!(verified.status.code(), Some(0), "{what}: {}{}", out(&verified), err(&verified));
    }
}

#[tokio::test]
async fn commands_that_read_the_log_say_what_they_miss() {
    let gateway = Gateway::start(MOONGATE, LISTEN).await;
    let said = |arguments: &'static [&'static str]| {
        let folder = gateway.folder();
        async move {
            let output = moongate(folder, &[&["audit"], arguments].concat()).await;
            (output.status.code(), format!("{}{}", out(&output), err(&output)))
        }
    };
    for (arguments, says) in [
        (&["verify", "--dir", "nowhere"][..], &["MG-0857", "there is no folder nowhere"][..]),
        (&["prove"], &["LINE", "--request", "--since"]),
        (&["search", "--result", "nonsense"], &["possible values", "asked", "intended"]),
    ] {
        let (code, text) = said(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(says.iter().all(|says| text.contains(says)), "{arguments:?}: {text}");
    }
    let (_, help) = said(&["verify", "--help"]).await;
    assert!(help.contains("every one if absent") && !help.contains("the running one if absent"), "{help}");
    fs::rename(gateway.folder().join("audit.key"), gateway.folder().join("away")).unwrap();
    for command in [&["verify"][..], &["search"], &["prove", "0"]] {
        let (code, text) = said(command).await;
        assert!(
            code == Some(2) && text.contains("MG-0855") && text.contains("put the key back"),
            "{command:?}: {text}"
        );
    }
    let vkey = month(gateway.folder()).unwrap().join("vkey");
    fs::copy(vkey, gateway.folder().join("known.vkey")).unwrap();
    assert_eq!(said(&["verify", "--vkey", "known.vkey"]).await.0, Some(0), "who knows the public key needs no other");
}
