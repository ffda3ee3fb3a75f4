//! Tells whoever watches that an instance of an agent came, went, or changed its health. The registry publishes a directory at
//! each such change; what was known before is compared with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate_a2a::routing::directory::Directory;
use moongate_core::InstanceId;
use moongate_core::seam::Clock;
use moongate_telemetry::Feed;
use moongate_telemetry::feed::Health;
use parking_lot::Mutex;

/// What an instance is that is not in the directory.
const GONE: &str = "gone";

type Standing = BTreeMap<InstanceId, (Arc<str>, &'static str)>;

/// What was last told of.
pub(super) struct Healths {
    known: Mutex<Standing>,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
}

impl Healths {
    /// Nobody is known yet.
    pub(super) fn new(feed: Arc<Feed>, clock: Arc<dyn Clock>) -> Self {
        Self { known: Mutex::default(), feed, clock }
    }

    /// A directory was published.
    pub(super) fn published(&self, directory: &Directory) {
        let agents =
            directory.agents.iter().flat_map(|(name, agent)| agent.endpoints.iter().map(move |one| (name, one)));
        let now = agents.map(|(name, one)| (one.id.clone(), (name.shared(), one.load.health().as_str()))).collect();
        let mut known = self.known.lock();
        for (instance, agent, was, is) in changes(&known, &now) {
            self.feed.health(Health { agent, instance: instance.shared(), was, is, at: self.clock.now() });
        }
        *known = now;
    }
}

fn changes(before: &Standing, now: &Standing) -> Vec<(InstanceId, Arc<str>, &'static str, &'static str)> {
    let mut changes = Vec::new();
    for (id, (agent, is)) in now {
        let was = before.get(id).map_or(GONE, |(_, was)| was);
        if was != *is {
            changes.push((id.clone(), agent.clone(), was, *is));
        }
    }
    for (id, (agent, was)) in before.iter().filter(|(id, _)| !now.contains_key(*id)) {
        changes.push((id.clone(), agent.clone(), *was, GONE));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_went_and_changed_is_told_and_nobody_else() {
        let standing = |all: &[(&str, &'static str)]| {
            all.iter().map(|(id, health)| (InstanceId::from(*id), ("home".into(), *health))).collect::<Standing>()
        };
        let before = standing(&[("same", "up"), ("fell", "up"), ("left", "down")]);
        let now = standing(&[("same", "up"), ("fell", "suspect"), ("came", "up")]);
        let told: Vec<String> =
            changes(&before, &now).iter().map(|(id, _, was, is)| format!("{id} {was} {is}")).collect();
        assert_eq!(told, ["came gone up", "fell up suspect", "left down gone"]);
    }
}
