//! Azure LLM inference CSV: `TIMESTAMP` as a date, `ContextTokens`, `GeneratedTokens`; the 2025
//! multimodal trace has `NumImages` besides. Nothing is known about prefixes: every prompt is unique.
//! A row without generated tokens failed: it is counted and left out.

use super::Content;
use super::csv_line::{Columns, loose};
use super::records::{Fault, echo};
use super::rows::{Parsed, Row, RowFormat};
use crate::units::Nanos;
use smallvec::smallvec;

const WANTED: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];
const SECONDS_PER_DAY: i64 = 86_400;

#[derive(Default)]
pub(super) struct Azure {
    columns: Columns,
}

impl RowFormat for Azure {
    fn parse(&mut self, text: &[u8], number: u64) -> Result<Parsed, Fault> {
        let Some(fields) = self.columns.read(&WANTED, text)? else {
            return Ok(Parsed::Header);
        };
        let at = date(&fields[0]).ok_or_else(|| {
            format!(
                "TIMESTAMP is \"{}\"; it must be a date such as 2023-11-16 18:17:03.9799600",
                echo(&fields[0])
            )
        })?;
        let output_tokens = loose(&fields[2]).tokens_or_none(WANTED[2])?;
        if output_tokens == 0 {
            return Ok(Parsed::Failed);
        }
        let prompt_tokens = loose(&fields[1]).tokens(WANTED[1])?;
        Ok(Parsed::Row(Row::unique(at, number, prompt_tokens, output_tokens)))
    }
}

impl Row {
    /// A request that shares nothing with any other.
    pub(super) fn unique(at: Nanos, line: u64, prompt_tokens: u32, output_tokens: u32) -> Row {
        Row {
            at: Some(at),
            prompt: vec![Content::Unique.segment([line, 0], prompt_tokens)],
            output: smallvec![Content::Output.segment([line, 0], output_tokens)],
            chat: None,
        }
    }
}

/// Nanoseconds since 1970 of `YYYY-MM-DD hh:mm:ss[.fraction][Z|+hh:mm]`.
fn date(text: &str) -> Option<Nanos> {
    let (day, time) = text.split_once([' ', 'T'])?;
    let (time, zone) = split_zone(time);
    let [year, month, day] = numbers(day, '-')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(clock, ':')?;
    let valid = (1970..2500).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !valid {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Nanos(seconds * 1_000_000_000 + nanoseconds(fraction)?))
}

fn split_zone(time: &str) -> (&str, &str) {
    let at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    time.split_at(at)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone == "Z" {
        return Some(0);
    }
    let (sign, clock) = zone.split_at(1);
    let (hours, minutes) = clock.split_once(':')?;
    let seconds = digits(hours)? * 3600 + digits(minutes)? * 60;
    Some(if sign == "-" { -seconds } else { seconds })
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(digits);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A decimal fraction of a second; digits beyond the ninth are below what is kept.
fn nanoseconds(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = &fraction[..fraction.len().min(9)];
    let value: u64 = kept.parse().ok()?;
    Some(value * 10u64.pow(9 - kept.len() as u32))
}

/// Days from 1970-01-01 in the Gregorian calendar; years are counted from March, so that the leap
/// day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_to_the_last_digit() {
        let expect = |text, nanos| assert_eq!(date(text), Some(Nanos(nanos)), "{text}");
        expect("1970-01-01 00:00:00", 0);
        expect("2023-11-16 18:17:03.9799600", 1_700_158_623_979_960_000);
        expect("2024-05-10 00:00:00.009930+00:00", 1_715_299_200_009_930_000);
        expect("2024-02-29T23:59:59Z", 1_709_251_199_000_000_000);
        expect("2024-03-01 01:00:00+02:00", 1_709_247_600_000_000_000);
        for bad in ["", "5", "2023-13-01 00:00:00", "2023-01-01 24:00:00", "2023-1-1 0:0:x"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }
}
