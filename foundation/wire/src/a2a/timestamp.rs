//! Moments in JSON: RFC 3339 in UTC, as `2026-03-12T09:30:00.000Z`.
//!
//! A2A 1.0 wants `Z` and milliseconds; a2a-sdk 0.3 writes `+00:00` and microseconds. Any offset is read, `Z` is
//! written, with at least three digits and as many more (six, nine) as the moment needs.

const DAY: i64 = 86_400;
/// 0001-01-01 and 9999-12-31, the range of `google.protobuf.Timestamp`.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// Seconds since the Unix epoch and nanoseconds of that second; `None` if the text is no RFC 3339 moment.
pub fn parse(text: &str) -> Option<(i64, u32)> {
    let text = text.as_bytes();
    let (date_time, rest) = text.split_at_checked(19)?;
    let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T' | b't' | b' ', h0, h1, b':', mi0, mi1, b':', s0, s1] =
        date_time
    else {
        return None;
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    let (month, day) = (number(&[*mo0, *mo1])?, number(&[*d0, *d1])?);
    let (hour, minute, second) = (number(&[*h0, *h1])?, number(&[*mi0, *mi1])?, number(&[*s0, *s1])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, rest) = fraction(rest)?;
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second.min(59) - offset(rest)?;
    (FIRST..=LAST).contains(&seconds).then_some((seconds, nanos))
}

/// The text of a moment; `None` outside the years 1 to 9999.
pub fn format(seconds: i64, nanos: u32) -> Option<String> {
    if !(FIRST..=LAST).contains(&seconds) || nanos > 999_999_999 {
        return None;
    }
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let head = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    Some(match nanos {
        _ if nanos.is_multiple_of(1_000_000) => format!("{head}.{:03}Z", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => format!("{head}.{:06}Z", nanos / 1_000),
        _ => format!("{head}.{nanos:09}Z"),
    })
}

/// The same moment as we write it; `None` if the text is no RFC 3339 moment.
pub fn normalise(text: &str) -> Option<String> {
    let (seconds, nanos) = parse(text)?;
    format(seconds, nanos)
}

/// As [`normalise`], and takes a moment without an offset for UTC, as some agents write it.
pub fn mend(text: &str) -> Option<String> {
    normalise(text).or_else(|| normalise(&format!("{text}Z")))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Reads `.123`; digits beyond the ninth are dropped.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some((b'.' | b',', digits)) = rest.split_first() else { return Some((0, rest)) };
    let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(length)?;
    let kept = digits.get(..length.min(9)).filter(|kept| !kept.is_empty())?;
    let scale = 10_u32.checked_pow(9_u32.saturating_sub(u32::try_from(kept.len()).ok()?))?;
    Some((u32::try_from(number(kept)?).ok()?.checked_mul(scale)?, rest))
}

/// Reads `Z`, `+hh:mm` or `-hh:mm`, in seconds east of Greenwich.
fn offset(rest: &[u8]) -> Option<i64> {
    match rest {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (number(&[*h0, *h1])?, number(&[*m0, *m1])?);
            let seconds = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
            Some(if *sign == b'+' { seconds } else { -seconds })
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar (Howard Hinnant, *chrono-compatible low-level
/// date algorithms*).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_read_and_z_is_written() {
        for (text, expected) in [
            ("2023-10-27T10:00:00Z", "2023-10-27T10:00:00.000Z"),
            ("2023-10-27T10:00:00.5Z", "2023-10-27T10:00:00.500Z"),
            ("2023-10-27T10:00:00.123456+00:00", "2023-10-27T10:00:00.123456Z"),
            ("2023-10-27t10:00:00.123456789z", "2023-10-27T10:00:00.123456789Z"),
            ("2024-02-29T23:59:59.999-00:30", "2024-03-01T00:29:59.999Z"),
            ("2024-01-01T00:30:00+05:30", "2023-12-31T19:00:00.000Z"),
            ("1969-12-31T23:59:59.250Z", "1969-12-31T23:59:59.250Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(normalise(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01.000001Z"), Some((1, 1000)));
        assert_eq!(mend("1970-01-01T00:00:01.5").as_deref(), Some("1970-01-01T00:00:01.500Z"));
        assert_eq!(mend("yesterday"), None);
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "2023-10-27",
            "2023-10-27T10:00:00",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-10-27T24:00:00Z",
            "2023-10-27T10:00:00.Z",
            "2023-10-27T10:00:00+0000",
            "2023-10-27T10:00:00Zx",
            "0001-01-01T00:00:00+01:00",
            "2023-10-27T10:00:0äZ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(format(LAST + 1, 0), None);
        assert_eq!(format(0, 1_000_000_000), None);
    }

    #[test]
    fn every_day_of_four_centuries_leads_back_to_itself() {
        for day in days(1900, 1, 1)..days(2300, 1, 1) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
            assert!((1..=12).contains(&month) && (1..=days_in(year, month)).contains(&of_month));
        }
    }
}
