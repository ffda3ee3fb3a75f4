//! `moongate doctor` and `moongate backup`: with a gateway and without one, on stores that are well and on others.

use std::path::Path;
use std::process::Output;

use super::*;

/// A folder with a store of one task, left in good order, and its configuration.
async fn left() -> Gateway {
    let (mut gateway, _) = away().await;
    moongate(gateway.folder(), &["send", "--agent", "lock", "--no-wait", "open"]).await;
    assert!(gateway.terminate().await.success());
    assert!(!gateway.folder().join("moongate.db-wal").exists(), "it was not left in good order");
    gateway
}

/// What the doctor says, with names for what differs.
fn said(gateway: &Gateway, output: &Output) -> String {
    let (folder, admin) = (gateway.folder().display().to_string(), gateway.admin());
    let text = told(output, &[(&folder, "{dir}"), (&admin, "{gateway}")]);
    // Where temporary folders are links, SQLite's messages name what they lead to.
    let real = std::fs::canonicalize(gateway.folder()).unwrap().display().to_string();
    text.replace(&real, "{dir}")
}

fn store(gateway: &Gateway) -> std::path::PathBuf {
    gateway.folder().join("moongate.db")
}

#[tokio::test]
async fn a_healthy_gateway_is_found_healthy_whether_it_runs_or_not() {
    let (mut gateway, _) = away().await;
    let folder = gateway.folder().to_owned();
    moongate(&folder, &["send", "--agent", "lock", "--no-wait", "open"]).await;
    insta::assert_snapshot!("doctor_running", said(&gateway, &moongate(&folder, &["doctor"]).await));
    let view = json_of(&moongate(&folder, &["doctor", "--json"]).await);
    assert_eq!(view["ok"], true, "{view}");
    assert!(view["checks"].as_array().unwrap().iter().all(|check| check["result"] == "ok"), "{view}");
    gateway.terminate().await;
    insta::assert_snapshot!("doctor_alone", said(&gateway, &moongate(&folder, &["doctor"]).await));
}

#[tokio::test]
async fn a_fresh_folder_is_no_mistake_and_stays_as_it_is() {
    let folder = folder();
    std::fs::write(folder.path().join("moongate.toml"), "[listen]\nadmin = \"127.0.0.1:9\"\n").unwrap();
    insta::assert_snapshot!("doctor_fresh", told(&moongate(folder.path(), &["doctor"]).await, &[]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
    let copy = moongate(folder.path(), &["backup", "copy.db"]).await;
    assert!(copy.status.code() == Some(2) && err(&copy).contains("MG-0801"), "{}", err(&copy));
    std::fs::write(folder.path().join("moongate.toml"), "[store]\nurl = 7\ncolour = 1\n").unwrap();
    insta::assert_snapshot!("doctor_mistaken", told(&moongate(folder.path(), &["doctor"]).await, &[]));
}

#[tokio::test]
async fn damaged_and_newer_stores_are_named_and_every_byte_is_kept() {
    let gateway = left().await;
    let whole = std::fs::read(store(&gateway)).unwrap();
    let torn = whole[..whole.len() / 2].to_vec();
    let mut page = whole.clone();
    page[3 * 4096..4 * 4096].fill(0xa5);
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&99_i32.to_be_bytes());
    for (what, bytes, code) in [
        ("torn", torn, "MG-0804"),
        ("a lost page", page, "MG-0804"),
        ("no store", b"hello, I am a text\n".to_vec(), "MG-0804"),
        ("newer", newer, "MG-0802"),
    ] {
        std::fs::write(store(&gateway), &bytes).unwrap();
        let output = moongate(gateway.folder(), &["doctor"]).await;
        assert_eq!(output.status.code(), Some(1), "{what}: {}", out(&output));
        let text = out(&output);
        let line = text.lines().find(|line| line.starts_with("FAIL")).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(line.starts_with("FAIL  store") && line.contains(code) && line.contains("hint: "), "{what}: {line}");
        let copy = moongate(gateway.folder(), &["backup", "copy.db"]).await;
        assert!(copy.status.code() == Some(2) && err(&copy).contains(code), "{what}: {}", err(&copy));
        let run = moongate(gateway.folder(), &["run"]).await;
        assert!(run.status.code() == Some(2) && err(&run).contains(code), "{what}: {}", err(&run));
        assert!(std::fs::read(store(&gateway)).unwrap() == bytes, "{what} was changed");
        if what == "newer" {
            insta::assert_snapshot!("doctor_newer", said(&gateway, &output));
        }
    }
    assert!(!gateway.folder().join("copy.db").exists());
    // With its bytes put back it is a store again.
    std::fs::write(store(&gateway), &whole).unwrap();
    assert_eq!(moongate(gateway.folder(), &["doctor"]).await.status.code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_that_cannot_be_written_is_named_and_kept() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = left().await;
    let (dir, programs) = (gateway.folder().to_owned(), folder());
    let before = std::fs::read(store(&gateway)).unwrap();
    let lock = dir.join("moongate.db.lock");
    let _ = std::fs::remove_file(&lock);
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&store(&gateway), 0o444);
    mode(&dir, 0o555);
    // Permissions do not bind root: the doctor is somebody else then, and needs a program and keys that it can reach.
    let mut command = tokio::process::Command::new(MOONGATE);
    if std::fs::File::create(dir.join("root")).is_ok() {
        std::fs::remove_file(dir.join("root")).unwrap();
        let program = programs.path().join("moongate");
        std::fs::copy(MOONGATE, &program).unwrap();
        mode(programs.path(), 0o755);
        mode(&program, 0o755);
        for file in std::fs::read_dir(&dir).unwrap() {
            std::os::unix::fs::chown(file.unwrap().path(), Some(65_534), None).unwrap();
        }
        command = tokio::process::Command::new(&program);
        command.uid(65_534);
    }
    command.args(["doctor"]).current_dir(&dir).stdin(std::process::Stdio::null());
    let output = soon("the end of the command", command.output()).await.unwrap();
    mode(&dir, 0o755);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{}", err(&output));
    for line in ["FAIL  folder", "FAIL  store          MG-0801"] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
    assert!(std::fs::read(store(&gateway)).unwrap() == before && !lock.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_that_others_can_read_is_a_fault_and_is_not_shown() {
    use std::os::unix::fs::PermissionsExt;
    let (mut gateway, _) = away().await;
    let secret = gateway.folder().join("operator.secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = moongate(gateway.folder(), &["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = out(&output);
    assert!(text.contains("FAIL  secret         MG-0114") && text.contains("chmod 600"), "{text}");
    assert!(!text.contains(std::fs::read_to_string(&secret).unwrap().trim()), "{text}");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(moongate(gateway.folder(), &["doctor"]).await.status.code(), Some(0));
    gateway.terminate().await;
    std::fs::remove_file(gateway.folder().join("gateway.key")).unwrap();
    let output = moongate(gateway.folder(), &["doctor"]).await;
    assert!(out(&output).contains("gateway.key is missing, although there is a store"), "{}", out(&output));
    assert_eq!(output.status.code(), Some(0), "a warning is no fault");
}

#[tokio::test]
async fn a_backup_holds_everything_and_is_a_store_again() {
    let (mut gateway, _) = away().await;
    let folder = gateway.folder().to_owned();
    let sent = moongate(&folder, &["send", "--agent", "lock", "--no-wait", "open"]).await;
    let id = id_of(&sent);
    insta::assert_snapshot!("backup", said(&gateway, &moongate(&folder, &["backup", "copy.db"]).await));
    insta::assert_snapshot!("backup_again", said(&gateway, &moongate(&folder, &["backup", "copy.db"]).await));
    let relative = as_operator(&gateway, "POST", "/store:backup", Some(&json!({"path": "copy2.db"}))).await;
    assert_eq!((relative.status, relative.fields()), (400, vec!["path".to_owned()]));
    let later = id_of(&moongate(&folder, &["send", "--agent", "lock", "--no-wait", "later"]).await);
    gateway.terminate().await;
    insta::assert_snapshot!("backup_alone", said(&gateway, &moongate(&folder, &["backup", "alone.db"]).await));
    assert!(std::fs::read(folder.join("alone.db")).unwrap().len() >= 4096);
    // The way back: the copy in the place of the store.
    std::fs::rename(folder.join("copy.db"), store(&gateway)).unwrap();
    gateway.restart().await;
    assert_eq!(json_of(&moongate(&folder, &["tasks", "show", &id, "--json"]).await)["id"], json!(id));
    assert_eq!(moongate(&folder, &["tasks", "show", &later]).await.status.code(), Some(2), "it came after the copy");
    assert_eq!(moongate(&folder, &["doctor"]).await.status.code(), Some(0));
}
