//! What all certificates have: a serial number that nobody can guess, and a span in which they hold.

use std::time::Duration;

use moongate_core::Time;
use rcgen::SerialNumber;
use time::OffsetDateTime;

/// Certificates begin to hold this much earlier, for clocks that are late.
const SLACK_MS: u64 = 60 * 60 * 1000;

/// 159 random bits: positive, and of one length (RFC 5280 §4.1.2.2 allows twenty octets).
pub(super) fn serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = [0_u8; 20];
    getrandom::fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

/// From a moment ago until then.
pub(super) fn validity(now: Time, until: Time) -> (OffsetDateTime, OffsetDateTime) {
    (date(Time(now.0.saturating_sub(SLACK_MS))), date(until))
}

/// The date of a moment; whole seconds, as certificates have them.
pub(super) fn date(time: Time) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::from_secs(time.0 / 1000)
}

/// A moment as people and machines read it (RFC 3339), in whole seconds.
pub fn rfc3339(time: Time) -> String {
    let date = date(time);
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", date.hour(), date.minute(), date.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_in_rfc_3339() {
        assert_eq!(rfc3339(Time(1_788_220_801_999)), "2026-09-01T00:00:01Z");
        assert_eq!(rfc3339(Time(0)), "1970-01-01T00:00:00Z");
    }
}
