//! Times as people write them: whole seconds, or a number with s, m or h.

use std::time::Duration;

/// What is accepted, in words.
pub const ACCEPTED: &str = "whole seconds, or a number with s, m or h, such as 120s; a day at most";
const SECONDS_MAX: u64 = 24 * 3_600;

/// Reads a time; none when it is none, or longer than a day.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = match text.chars().last()? {
        's' | '0'..='9' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(['s', 'm', 'h']).unwrap_or(text).parse().ok()?;
    of_seconds(number.checked_mul(unit)?)
}

/// So many seconds; none when they are more than a day.
pub fn of_seconds(seconds: u64) -> Option<Duration> {
    (seconds <= SECONDS_MAX).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_a_bound() {
        let seconds = |text: &str| parse(text).map(|time| time.as_secs());
        assert_eq!(["0", "90", "120s", "2m", "24h"].map(|text| seconds(text).unwrap()), [0, 90, 120, 120, 86_400]);
        let wrong = ["", "s", "-1", "1.5s", "2ss", "3d", "25h", "18446744073709551615h"];
        assert!(wrong.iter().all(|text| parse(text).is_none()));
    }
}
