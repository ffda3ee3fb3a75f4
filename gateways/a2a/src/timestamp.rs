//! RFC 3339 timestamps as A2A writes them: UTC, milliseconds, `Z` (A2A 1.0 §5.6).

use moongate_core::Time;

/// Writes a moment.
pub fn write(time: Time) -> String {
    let (days, millis) = (time.0 / 86_400_000, time.0 % 86_400_000);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or(0));
    let seconds = millis / 1000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        millis % 1000
    )
}

/// Reads a timestamp with any offset and any number of decimals; `None` if it is not one or lies before 1970.
pub fn parse(text: &str) -> Option<Time> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    let (clock, offset_minutes) = split_offset(rest)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let total = ((days(year, month, day) * 24 + hour) * 60 + minute - offset_minutes) * 60 + second;
    u64::try_from(total * 1000 + millis).ok().map(Time)
}

fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (clock, offset) = text.split_at(at);
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let total = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    Some((clock, if offset.starts_with('-') { -total } else { total }))
}

/// Days since 1970-01-01 of a date in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * month_index + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [0, 951_782_400_000, 1_709_164_799_999, 1_795_392_000_123, 4_102_444_800_000] {
            assert_eq!(parse(&write(Time(millis))), Some(Time(millis)));
        }
        assert_eq!(write(Time(951_782_400_000)), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn offsets_and_decimals_are_understood() {
        let noon = parse("2026-11-22T12:00:00Z").unwrap();
        assert_eq!(parse("2026-11-22T13:00:00+01:00"), Some(noon));
        assert_eq!(parse("2026-11-22T12:00:00.1234567+00:00"), Some(Time(noon.0 + 123)));
        for bad in ["", "2026-11-22", "2026-13-01T00:00:00Z", "2026-11-22T25:00:00Z", "2026-11-22T12:00:00"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
