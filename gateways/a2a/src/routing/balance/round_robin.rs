//! Smooth weighted turns: everybody earns credit by weight, the richest serves and pays for all.
//!
//! Weights 5, 1, 1 give `a a b a c a a`, not `a a a a a b c`. Credits are plain atomics: racing picks may now and then
//! choose the same instance, the sum stays true and with it the proportions.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Instance;
use super::view::View;

pub(super) fn pick<'a>(view: &View<'a>) -> Option<&'a Arc<Instance>> {
    let mut total = 0_i64;
    let mut richest: Option<(&Arc<Instance>, i64)> = None;
    for (instance, weight) in view.members() {
        let weight = i64::try_from(weight).unwrap_or(i64::MAX);
        let credit = instance.turn.fetch_add(weight, Relaxed).saturating_add(weight);
        total = total.saturating_add(weight);
        if richest.is_none_or(|(_, most)| credit > most) {
            richest = Some((instance, credit));
        }
    }
    let (instance, _) = richest?;
    instance.turn.fetch_sub(total, Relaxed);
    Some(instance)
}
