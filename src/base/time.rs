//! Points in time: now, as text, and back.

use std::time::SystemTime;

/// The seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Seconds since 1970 as text: `2026-11-21T19:30:00Z`, with fractions if there are any.
pub(crate) fn instant(seconds: f64) -> String {
    let whole = seconds.floor();
    let (days, second) = ((whole / 86_400.0).floor() as i64, whole.rem_euclid(86_400.0) as u64);
    // Civil from days, by Hinnant: years begin in March, so that the day that some have comes last.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (of_month, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    let micros = (((seconds - whole) * 1e6).round() as u64).min(999_999);
    let fraction = if micros > 0 { format!(".{micros:06}") } else { String::new() };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The seconds since 1970 of a time by RFC 3339, such as `2026-11-21T19:30:00.5+01:00`; `None` if the text is none.
#[cfg(feature = "lineage")]
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
    let parts = |text: &str, by: char| text.split(by).map(number).collect::<Option<Vec<i64>>>();
    let [year, month, day] = parts(date, '-')?[..] else { return None };
    let zone = time.rfind(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let [hours, minutes] = parts(&zone[1..], ':')?[..] else { return None };
            (hours * 60 + minutes) * if zone.starts_with('-') { -60 } else { 60 }
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = parts(time, ':')?[..] else { return None };
    let fraction: f64 = number(fraction).and_then(|_| format!("0.{fraction}").parse().ok())?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days from civil, by Hinnant.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second - offset) as f64 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_dates_of_the_calendar() {
        for (seconds, expected) in [
            (0.0, "1970-01-01T00:00:00Z"),
            (951_782_400.0, "2000-02-29T00:00:00Z"),
            (-1.5, "1969-12-31T23:59:58.500000Z"),
            (4_107_542_399.0, "2100-02-28T23:59:59Z"),
            (1_763_753_400.0, "2025-11-21T19:30:00Z"),
        ] {
            assert_eq!(instant(seconds), expected);
            #[cfg(feature = "lineage")]
            assert_eq!(self::seconds(expected), Some(seconds));
        }
    }

    #[cfg(feature = "lineage")]
    #[test]
    fn zones_count_and_what_is_no_time_is_refused() {
        assert_eq!(seconds("2025-11-21T21:00:00.250+01:30"), Some(1_763_753_400.25));
        assert_eq!(seconds("2025-11-21t14:30:00-05:00"), Some(1_763_753_400.0));
        for text in ["", "2025-11-21", "2025-11-21T19:30:00", "2025-13-21T19:30:00Z", "x025-11-21T19:30:00Z", "ä"] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(seconds("2025-11-21T19:30:0é+00:00"), None);
    }
}
