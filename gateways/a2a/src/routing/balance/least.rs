//! Fewest open requests for the weight: all instances compared when they are few, two random ones when they are many.

use std::sync::Arc;

use super::Instance;
use super::view::View;

/// Above this many instances a full comparison is not worth its time.
const FULL: usize = 8;

pub(super) fn pick<'a>(view: &View<'a>) -> Option<&'a Arc<Instance>> {
    if view.instances.len() > FULL {
        let (one, other) = view.two()?;
        let Some(other) = other else { return Some(one) };
        let less = score(other, view.weight(other)) < score(one, view.weight(one));
        return Some(if less { other } else { one });
    }
    let mut best: Option<(&Arc<Instance>, f64)> = None;
    let mut equals = 1;
    for (instance, weight) in view.members() {
        let score = score(instance, weight);
        match best {
            Some((_, least)) if score > least => {}
            // Among equals each has the same chance, so that idle instances share.
            Some((_, least)) if score == least => {
                equals += 1;
                if view.rng.below(equals) == 0 {
                    best = Some((instance, score));
                }
            }
            _ => {
                equals = 1;
                best = Some((instance, score));
            }
        }
    }
    best.map(|(instance, _)| instance)
}

fn score(instance: &Instance, weight: u64) -> f64 {
    f64::from(instance.pending().saturating_add(1)) / (weight.max(1) as f64)
}
