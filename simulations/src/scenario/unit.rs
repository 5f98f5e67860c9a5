//! How durations and rates are written.

use std::time::Duration;

/// What [`duration`] takes.
pub(super) const DURATION: &str = "a duration such as \"250us\", \"40ms\", \"1.5s\", \"2m\" or \"1h\"";
/// What [`rate`] takes.
pub(super) const RATE: &str = "a rate such as \"500kbps\", \"40Mbps\", \"1Gbps\", or \"unlimited\"";
/// Longest duration: simulations of more than a day say nothing that shorter ones do not.
const DURATION_MAX_S: f64 = 7.0 * 86_400.0;

/// Reads a duration.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = parts(text)?;
    let seconds = match unit {
        "ns" => number / 1e9,
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    (0.0..=DURATION_MAX_S).contains(&seconds).then(|| Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// Reads a rate, bits per second.
pub fn rate(text: &str) -> Option<u64> {
    let (number, unit) = parts(text)?;
    let bps = match unit {
        "bps" => number,
        "kbps" | "kb/s" => number * 1e3,
        "Mbps" | "Mb/s" => number * 1e6,
        "Gbps" | "Gb/s" => number * 1e9,
        _ => return None,
    };
    (1000.0..=1e12).contains(&bps).then_some(bps as u64)
}

fn parts(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates_are_read_with_their_units_and_nothing_else_is() {
        assert_eq!(duration("250us"), Some(Duration::from_micros(250)));
        assert_eq!(duration("1.5 s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert!(["", "5", "-1s", "s", "1 day", "1e9h", "900h"].iter().all(|text| duration(text).is_none()));
        assert_eq!(rate("40Mbps"), Some(40_000_000));
        assert_eq!(rate("1.5 Gb/s"), Some(1_500_000_000));
        assert!(["40", "40MB", "0kbps", "fast"].iter().all(|text| rate(text).is_none()));
    }
}
