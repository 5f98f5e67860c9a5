//! Numbers as people read them: three digits that count, thousands apart.

/// A number with three digits that count, or all digits before the point: `0.0312`, `14.3`, `1,234,567`.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let size = value.abs();
    let places = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        // Nines count: 99.96 % must not be told as 100.
        _ if size >= 99.0 => 3,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.1 => 3,
        _ if size >= 0.001 => 4,
        _ => return if size < 1e-9 { "0".into() } else { format!("{value:.1e}") },
    };
    let text = format!("{value:.places$}");
    let text = if places > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    thousands(text)
}

/// Bytes with a decimal prefix: `12.4 MB`.
pub fn bytes(count: f64) -> String {
    scaled(count, "B")
}

/// Bits per second with a decimal prefix: `1.7 Mb/s`.
pub fn rate(bits_per_s: f64) -> String {
    scaled(bits_per_s, "b/s")
}

fn scaled(value: f64, unit: &str) -> String {
    let (divisor, prefix) = match value.abs() {
        size if size >= 1e12 => (1e12, "T"),
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    format!("{}\u{a0}{prefix}{unit}", figure(value / divisor))
}

fn thousands(text: &str) -> String {
    let digits_end = text.find('.').unwrap_or(text.len());
    let digits_begin = usize::from(text.starts_with('-'));
    let mut out = String::with_capacity(text.len() + 4);
    for (at, c) in text.char_indices() {
        let left = digits_end.saturating_sub(at);
        if at > digits_begin && at < digits_end && left.is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_that_count() {
        let read = [0.0, 0.03124, 0.5, 3.0, 14.26, 99.96, 1234.4, -1_234_567.0, 2e-7, f64::NAN].map(figure);
        assert_eq!(read, ["0", "0.0312", "0.5", "3", "14.3", "99.96", "1,234", "-1,234,567", "2.0e-7", "–"]);
        assert_eq!(bytes(12_400_000.0), "12.4\u{a0}MB");
        assert_eq!(rate(999.0), "999\u{a0}b/s");
    }
}
