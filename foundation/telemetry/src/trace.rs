//! W3C trace context, level 1: which trace a request belongs to.
//!
//! - In: `traceparent: 00-{trace id}-{caller's span}-{flags}`. A header that breaks the rules counts as none (§3.2.2.3),
//!   and a version from the future is read as far as this one goes (§4.3).
//! - Out: the same trace id with our own span; the flag *sampled* stays as the caller set it. A trace that begins here
//!   is sampled by its id alone, so that all who judge by the same ratio agree.
//!
//! Ids only have to differ from one another; they come from a generator for each thread that the system's random source
//! seeds once, so that a request costs no system call. They are no secrets. `tracestate` is passed on by whoever
//! forwards headers.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};

use moongate_core::seam::TraceContext;

/// What a valid `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The caller's span.
    pub span: [u8; 8],
    /// Whether the caller records it.
    pub sampled: bool,
}

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// Reads a `traceparent` header; `None` if it does not keep to the rules.
pub fn parse(traceparent: &str) -> Option<TraceParent> {
    let text = traceparent.trim_matches([' ', '\t']).as_bytes();
    let (head, rest) = text.split_at_checked(LENGTH)?;
    let version: [u8; 1] = hex(head.get(0..2)?)?;
    let fits = match version {
        [0xff] => false,
        [0] => rest.is_empty(),
        _ => matches!(rest.first(), None | Some(b'-')),
    };
    if !fits || [2, 35, 52].iter().any(|dash| head.get(*dash) != Some(&b'-')) {
        return None;
    }
    let trace_id: [u8; 16] = hex(head.get(3..35)?)?;
    let span: [u8; 8] = hex(head.get(36..52)?)?;
    let [flags]: [u8; 1] = hex(head.get(53..55)?)?;
    (trace_id != [0; 16] && span != [0; 8]).then_some(TraceParent { trace_id, span, sampled: flags & 1 == 1 })
}

/// Gives a request its place in a trace: the caller's, if the header names one, else a new one of which
/// `sample_per_million` in a million are recorded.
pub fn start(header: Option<&str>, sample_per_million: u32) -> TraceContext {
    let span = random().max(1).to_be_bytes();
    if let Some(parent) = header.and_then(parse) {
        return TraceContext { trace_id: parent.trace_id, parent: Some(parent.span), span, sampled: parent.sampled };
    }
    let (high, low) = (random(), random().max(1));
    let trace_id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    TraceContext { trace_id, parent: None, span, sampled: samples(low, sample_per_million) }
}

/// A further span in the same trace, under ours: for one attempt of several at an agent.
#[must_use]
pub fn child(context: &TraceContext) -> TraceContext {
    TraceContext { parent: Some(context.span), span: random().max(1).to_be_bytes(), ..*context }
}

/// Judges by the 56 bits that level 2 demands to be random, as other samplers do.
fn samples(low: u64, per_million: u32) -> bool {
    const BITS: u64 = (1 << 56) - 1;
    let threshold = (u128::from(per_million.min(1_000_000)) << 56) / 1_000_000;
    u128::from(low & BITS) < threshold
}

/// The value of a `traceparent` header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header([u8; LENGTH]);

impl Header {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The header for the next one in the chain: our span is its parent.
pub fn header(context: &TraceContext) -> Header {
    let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(out.get_mut(3..35), &context.trace_id);
    write_hex(out.get_mut(36..52), &context.span);
    write_hex(out.get_mut(53..55), &[u8::from(context.sampled)]);
    Header(out)
}

fn write_hex(place: Option<&mut [u8]>, bytes: &[u8]) {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' - 10 + half };
    let (pairs, _) = place.unwrap_or_default().as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// Lower-case hexadecimal of exactly `N` bytes; capitals are against the rules (§3.2.2).
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (slot, [high, low]) in out.iter_mut().zip(pairs) {
        *slot = half(*high)? << 4 | half(*low)?;
    }
    Some(out)
}

/// xoshiro256++ (Blackman and Vigna), one for each thread.
fn random() -> u64 {
    thread_local! {
        static STATE: RefCell<[u64; 4]> = RefCell::new(seed());
    }
    STATE.with_borrow_mut(|[a, b, c, d]| {
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    })
}

/// Four words, not all zero, from the system; from the standard library's hash keys if the system refuses.
fn seed() -> [u64; 4] {
    let word = || {
        let mut bytes = [0; 8];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u64::from_ne_bytes(bytes),
            Err(_) => RandomState::new().build_hasher().finish(),
        }
    };
    [word(), word(), word(), word() | 1]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_reads_and_writes_the_same() {
        let parent = parse(GOOD).unwrap();
        assert!(parent.sampled);
        let context =
            TraceContext { trace_id: parent.trace_id, parent: None, span: parent.span, sampled: parent.sampled };
        assert_eq!(header(&context).as_str(), GOOD);
        assert_eq!(parse(&format!(" {GOOD}\t")), Some(parent));
    }

    #[test]
    fn headers_that_break_the_rules_count_as_none() {
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-000f067aa0ba902b7-01",
            "00-ä4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn versions_of_the_future_are_read_as_far_as_known() {
        for good in [GOOD.replacen("00", "cc", 1), GOOD.replacen("00", "cc", 1) + "-what-comes"] {
            assert_eq!(parse(&good), parse(GOOD), "{good}");
        }
        assert!(!parse(&GOOD.replace("-01", "-fe")).unwrap().sampled);
        assert!(parse(&GOOD.replace("-01", "-ff")).unwrap().sampled);
    }

    #[test]
    fn the_callers_trace_goes_on_under_a_span_of_ours() {
        let context = start(Some(GOOD), 0);
        let parent = parse(GOOD).unwrap();
        assert_eq!((context.trace_id, context.parent, context.sampled), (parent.trace_id, Some(parent.span), true));
        assert_ne!(context.span, parent.span);
        let attempt = child(&context);
        assert_eq!((attempt.trace_id, attempt.parent), (context.trace_id, Some(context.span)));
        assert_ne!(attempt.span, context.span);
    }

    #[test]
    fn ids_differ_within_and_between_threads() {
        let mine = || (0..2000).map(|_| start(None, 0)).map(|c| (c.trace_id, c.span)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(mine)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().map(|(trace, _)| trace).collect::<HashSet<_>>().len(), 8000);
        assert_eq!(all.iter().map(|(_, span)| span).collect::<HashSet<_>>().len(), 8000);
    }

    #[test]
    fn the_share_of_sampled_traces_is_the_one_asked_for() {
        let share = |per_million| (0..20_000).filter(|_| start(None, per_million).sampled).count();
        assert_eq!(share(0), 0);
        assert_eq!(share(1_000_000), 20_000);
        // 20,000 tries at a quarter: five standard deviations are 306.
        assert!((4694..=5306).contains(&share(250_000)));
    }
}
