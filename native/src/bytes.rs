//! Bytes for people.

/// `93.8 MiB`.
pub fn shown(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64 / 1024.0;
    let mut unit = 0;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn units_fit_the_size() {
        assert_eq!(super::shown(1023), "1023 B");
        assert_eq!(super::shown(98_362_432), "93.8 MiB");
        assert_eq!(super::shown(u64::MAX), "16777216.0 TiB");
    }
}
