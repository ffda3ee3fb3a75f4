//! Copies: whole, of one moment, of a store that works or of one that is closed; never over something else.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use moongate_core::Code;
use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Created, Filter, NewTask};
use moongate_core::task::Command;

use crate::folder::Folder;
use crate::sample::{advance, config, new, running};
use crate::{row, sample};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn filled(folder: &Folder) -> Arc<dyn Store> {
    let store = folder.open().unwrap();
    store.registry().upsert(row("lights", 1)).await.unwrap();
    for n in 0..200 {
        let new = NewTask { configs: vec![config("c", 0)], ..new(running(&format!("t{n}"))) };
        drop(store.tasks().create(new));
    }
    assert_eq!(total(&store).await, 200);
    advance(store.tasks(), "t199", Command::Artifact, 2000).await.unwrap();
    store
}

async fn total(store: &Arc<dyn Store>) -> u64 {
    store.tasks().list(Filter::default()).await.unwrap().total
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_is_whole_while_writers_go_on() {
    let (folder, place) = (Folder::new(), Folder::new());
    let (store, stop) = (filled(&folder).await, Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let mut made = 0;
                while !stop.load(SeqCst) {
                    let id = format!("w{writer}-{made}");
                    assert_eq!(store.tasks().create(new(running(&id))).await, Ok(Created::New));
                    advance(store.tasks(), &id, Command::Artifact, 2000).await.unwrap();
                    made += 1;
                }
                made
            })
        })
        .collect();
    for round in 0..5 {
        let before = total(&store).await;
        store.backup(place.file(&format!("{round}.db"))).await.unwrap();
        let copy = moongate_store::open(&format!("sqlite:{round}.db"), place.path()).unwrap();
        assert!(total(&copy).await >= before, "what was there before is missing");
        assert!(total(&copy).await <= total(&store).await);
        assert_eq!(copy.inspect().await, Ok(vec![]));
        assert_eq!(copy.registry().rows().await, Ok(vec![row("lights", 1)]));
        assert_eq!(sample::get(copy.tasks(), "t199").await, sample::get(store.tasks(), "t199").await);
        assert_eq!(copy.tasks().create(new(running("another"))).await, Ok(Created::New));
    }
    stop.store(true, SeqCst);
    let mut made = 0;
    for writer in writers {
        made += writer.await.unwrap();
    }
    assert_eq!(total(&store).await, 200 + made);
}

#[cfg(unix)]
#[tokio::test]
async fn a_copy_is_one_file_that_only_this_account_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, place) = (Folder::new(), Folder::new());
    filled(&folder).await.backup(place.file("copy.db")).await.unwrap();
    assert_eq!(names(place.path()), ["copy.db"]);
    assert_eq!(fs::metadata(place.file("copy.db")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn nothing_is_written_over() {
    let (folder, place) = (Folder::new(), Folder::new());
    let store = filled(&folder).await;
    fs::write(place.file("a.db"), "precious").unwrap();
    fs::create_dir(place.file("b.db")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(place.file("nowhere"), place.file("c.db")).unwrap();
    for name in names(place.path()) {
        let problem = store.backup(place.file(&name)).await.unwrap_err();
        assert_eq!(problem.code, Code::FileExists);
        assert!(problem.detail.contains(&name), "{problem}");
    }
    assert_eq!(place.read("a.db"), b"precious");
    let missing = store.backup(place.file("missing/a.db")).await.unwrap_err();
    assert_eq!(missing.code, Code::StoreUnusable);
    assert!(missing.detail.contains("missing/a.db"), "{missing}");
    assert_eq!(store.health(), Ok(()), "the copy's disk is not the store's");
}

#[tokio::test]
async fn a_store_that_closes_leaves_a_whole_copy_or_none() {
    for _ in 0..10 {
        let (folder, place) = (Folder::new(), Folder::new());
        let store = filled(&folder).await;
        drop(store.backup(place.file("copy.db")));
        drop(store);
        let left = names(place.path());
        assert!(left.is_empty() || left == ["copy.db"], "{left:?}");
        if !left.is_empty() {
            let copy = moongate_store::open("sqlite:copy.db", place.path()).unwrap();
            assert_eq!((total(&copy).await, copy.inspect().await), (200, Ok(vec![])));
        }
    }
}

#[tokio::test]
async fn a_closed_store_is_copied_as_it_lies() {
    let (folder, place) = (Folder::new(), Folder::new());
    let store = filled(&folder).await;
    let copy = |name: &str| moongate_store::copy("sqlite:m.db", folder.path(), &place.file(name));
    assert_eq!(copy("open.db").unwrap_err().code, Code::StoreLocked);
    drop(store);
    let before = folder.read("m.db");
    copy("closed.db").unwrap();
    assert!(folder.read("m.db") == before);
    assert_eq!(copy("closed.db").unwrap_err().code, Code::FileExists);
    let copied = moongate_store::open("sqlite:closed.db", place.path()).unwrap();
    assert_eq!((total(&copied).await, copied.inspect().await), (200, Ok(vec![])));
    let none = moongate_store::copy("sqlite:none.db", folder.path(), &place.file("none.db")).unwrap_err();
    assert_eq!(none.code, Code::StoreUnusable);
    assert!(!folder.file("none.db").exists());
}

#[tokio::test]
async fn a_store_in_memory_has_nothing_to_copy() {
    let folder = Folder::new();
    let store = moongate_store::open("memory:", folder.path()).unwrap();
    let to = folder.file("copy.db");
    assert_eq!(store.backup(to.clone()).await.unwrap_err().code, Code::StoreUnusable);
    assert_eq!(moongate_store::copy("memory:", folder.path(), &to).unwrap_err().code, Code::StoreUnusable);
    assert!(!to.exists());
}
