//! Quantities as people read them: three significant digits, and a unit of fitting size.

/// `12,345`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12,345`, `123`, `12.3`, `1.23`, `0.123`, and not below a ten-thousandth.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value.abs() >= 99.95 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(value.abs().round() as u64));
    }
    let decimals = match value.abs() {
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.09995 => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if value.abs() >= 0.9995 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `0.12 %`.
pub fn percent(value: f64) -> String {
    format!("{} %", number(value))
}

/// `850 µs`, `12.3 ms`, `1.23 s`; from microseconds.
pub fn time(us: f64) -> String {
    scaled(us, 1000.0, &["µs", "ms", "s"])
}

/// `1.10 Mbit/s`, from bit/s.
pub fn rate(bits: f64) -> String {
    scaled(bits, 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// Reads `500k`, `1.1M` or plain bit/s.
pub fn parse_rate(text: &str) -> Option<f64> {
    let units = [("k", 1e3), ("M", 1e6)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor))).unwrap_or((text, 1.0));
    Some(number.parse::<f64>().ok()? * factor).filter(|rate| rate.is_finite())
}

/// `16.4 KiB`, from bytes.
pub fn memory(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

fn scaled(value: f64, factor: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut place = 0;
    // What would be rounded up to 1,000 is told in the next unit.
    while value.abs() >= factor - 0.5 && place + 1 < units.len() {
        value /= factor;
        place += 1;
    }
    format!("{} {}", number(value), units[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_fitting_unit() {
        let cases = [
            (count(0), "0"),
            (count(999), "999"),
            (count(1_234_567), "1,234,567"),
            (number(0.0), "0"),
            (number(0.0031), "0.0031"),
            (number(0.5), "0.5"),
            (number(9.999), "10.0"),
            (number(99.96), "100"),
            (number(-1234.0), "-1,234"),
            (number(f64::NAN), "–"),
            (percent(0.1), "0.1 %"),
            (time(850.0), "850 µs"),
            (time(999.7), "1.00 ms"),
            (time(12_345.0), "12.3 ms"),
            (time(90_000_000.0), "90.0 s"),
            (rate(1_100_000.0), "1.10 Mbit/s"),
            (rate(30.384e9), "30.4 Gbit/s"),
            (memory(16_384.0), "16.0 KiB"),
        ];
        for (found, wanted) in cases {
            assert_eq!(found, wanted);
        }
    }
}
