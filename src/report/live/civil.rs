//! Days and times of day (UTC) from Unix time, which exports want.

/// `20261122-145301`, from nanoseconds since 1970.
pub(super) fn compact(unix_ns: u64) -> String {
    let (year, month, day, [hour, minute, second]) = civil(unix_ns);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// `2026-11-22T14:53:01.250000`, from nanoseconds since 1970.
pub(super) fn iso(unix_ns: u64) -> String {
    let (year, month, day, [hour, minute, second]) = civil(unix_ns);
    let micros = unix_ns / 1000 % 1_000_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// Year, month, day, and hour, minute, second. Howard Hinnant's `civil_from_days`: years begin in
/// March, so that the leap day is the last of a year, and are counted in eras of 400.
fn civil(unix_ns: u64) -> (u64, u64, u64, [u64; 3]) {
    let seconds = unix_ns / 1_000_000_000;
    let time = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_the_calendar() {
        for (seconds, expected) in [
            (0, "19700101-000000"),
            (951_782_399, "20000228-235959"),
            (951_782_400, "20000229-000000"),
            (951_868_800, "20000301-000000"),
            (1_795_359_181, "20261122-145301"),
            (4_102_444_799, "20991231-235959"),
            (4_107_542_400, "21000301-000000"),
        ] {
            assert_eq!(compact(seconds * 1_000_000_000), expected);
        }
        assert_eq!(iso(1_795_359_181_250_000_999), "2026-11-22T14:53:01.250000");
    }
}
