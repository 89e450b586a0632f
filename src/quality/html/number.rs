//! Numbers as people read them.

use crate::base::text::grouped;
use crate::base::time::instant;

/// A number with four digits: `12,345`, `0.1307`, `1.2e-7`.
pub(super) fn compact(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if size < 1e7 && value.fract() == 0.0 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", grouped(size as u64));
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.1e}").replace('-', "−");
    }
    if size >= 9_999.5 {
        return compact(value.round());
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}

/// A share of 1 in percent, with a space that breaks no line: `12.5 %`.
pub(super) fn percent(share: f64) -> String {
    let told = match 100.0 * share {
        0.0 => "0".to_owned(),
        p if p < 0.01 => "< 0.01".to_owned(),
        p if p < 0.995 => format!("{p:.2}"),
        p if p >= 99.95 && share < 1.0 => "> 99.9".to_owned(),
        p => format!("{p:.1}").trim_end_matches(".0").to_owned(),
    };
    told.replace(' ', "\u{a0}") + "\u{a0}%"
}

/// `1 row`, `2 rows`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A part of a whole: `12 of 1,000 rows (1.2 %)`.
pub(super) fn part(of: u64, all: u64, what: &str) -> String {
    format!("{} of {} {what} ({})", grouped(of), grouped(all), percent(of as f64 / all.max(1) as f64))
}

/// Seconds since 1970 as a date and time of day without fractions.
pub(super) fn date(seconds: f64) -> String {
    // Years beyond this have no four digits.
    if seconds.abs() > 2.5e11 {
        compact(seconds)
    } else {
        instant(seconds.floor()).replace('T', " ").replace('Z', " UTC")
    }
}

/// A span of seconds in the unit that suits it.
pub(super) fn span(seconds: f64) -> String {
    let units = [(86_400.0 * 365.2425, "years"), (86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")];
    let found = units.into_iter().find(|(unit, _)| seconds.abs() >= 2.0 * unit);
    let (unit, name) = found.unwrap_or((1.0, "seconds"));
    format!("{:.1} {name}", seconds / unit).replace(".0 ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_right() {
        for (value, expected) in [
            (0.0, "0"),
            (-3.0, "−3"),
            (1_234_567.0, "1,234,567"),
            (0.130_66, "0.1307"),
            (33.318_421, "33.32"),
            (2.5e-7, "2.5e−7"),
            (1e12, "1.0e12"),
            (-99_999.96, "−100,000"),
            (0.5, "0.5"),
        ] {
            assert_eq!(compact(value), expected);
        }
        let shares = [0.0, 0.000_01, 0.001_234, 0.5, 0.123_45, 0.999_99, 1.0];
        let told = shares.map(|share| percent(share).replace('\u{a0}', " "));
        assert_eq!(told, ["0 %", "< 0.01 %", "0.12 %", "50 %", "12.3 %", "> 99.9 %", "100 %"]);
        assert_eq!([90.0, 7_200.0, 3e8, -200_000.0].map(span), ["90 seconds", "2 hours", "9.5 years", "-2.3 days"]);
        assert_eq!(date(1_763_753_400.5), "2025-11-21 19:30:00 UTC");
    }
}
