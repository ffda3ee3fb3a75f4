//! Moments as A2A writes them, to and from the clock's form.

use moongate_core::Time;
use moongate_wire::a2a::timestamp;

/// Writes a moment (A2A 1.0 §5.6: UTC, milliseconds, `Z`).
pub fn write(time: Time) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    let nanos = u32::try_from(time.0 % 1000 * 1_000_000).unwrap_or(0);
    timestamp::format(seconds, nanos).unwrap_or_default()
}

/// Reads a timestamp; `None` if it is none. What lies before 1970 counts as 1970.
pub fn read(text: &str) -> Option<Time> {
    let (seconds, nanos) = timestamp::parse(text)?;
    let millis = u64::try_from(seconds).map_or(0, |seconds| seconds * 1000 + u64::from(nanos / 1_000_000));
    Some(Time(millis))
}
