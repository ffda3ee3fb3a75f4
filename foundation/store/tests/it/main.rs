//! The store as other rooms use it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

/// Runs each behaviour against a fresh store of each engine.
macro_rules! exercise {
    ($($behaviour:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $behaviour() {
                let store = moongate_store::open("memory:", std::path::Path::new("/")).unwrap();
                super::$behaviour(store).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $behaviour() {
                let folder = crate::folder::Folder::new();
                super::$behaviour(folder.open().unwrap()).await;
            })*
        }
    };
}

mod backup;
mod child;
mod conformance;
mod crash;
mod crash_tasks;
mod folder;
mod inspect;
mod model;
mod records;
mod refusals;
mod restart;
mod sample;
mod tasks;
mod torn;

use moongate_core::Time;
use moongate_core::seam::RegistryRow;

/// A row whose every member follows from `id` and `version`.
fn row(id: &str, version: u64) -> RegistryRow {
    RegistryRow {
        id: id.into(),
        owner: format!("owner-{}", version % 3),
        document: format!("{{\"version\":{version}}}").into_bytes(),
        beat_at: (version % 2 == 1).then_some(Time(version)),
        updated_at: Time(1_000_000 + version),
    }
}

/// A small generator of numbers (xorshift64*), so that a printed seed repeats a test.
struct Dice(u64);

impl Dice {
    /// Seeds it and says how.
    fn roll() -> Self {
        let seed = uuid::Uuid::new_v4().as_u64_pair().0 | 1;
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}
