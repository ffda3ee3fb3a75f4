//! Power of two choices: draw two instances, take the one whose next request is expected to cost less.
//!
//! Two random choices balance nearly as well as looking at all of them, and unlike "the best of all" they do not send
//! every gateway to the same instance at once.

use std::sync::Arc;

use super::Instance;
use super::view::View;

pub(super) fn pick<'a>(view: &View<'a>) -> Option<&'a Arc<Instance>> {
    let (one, other) = view.two()?;
    let Some(other) = other else { return Some(one) };
    Some(if score(view, other) < score(view, one) { other } else { one })
}

/// Expected latency × (open + 1) / weight.
fn score(view: &View<'_>, instance: &Instance) -> f64 {
    let weight = view.weight(instance).max(1) as f64;
    instance.load.cost(view.now, view.settings.decay) / weight
}
