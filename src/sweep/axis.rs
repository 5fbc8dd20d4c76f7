//! Values of one key: lists as people type them, and ranges.

use crate::error::{Error, Result};
use crate::scenario::value_of;
use toml::Value;

/// Values of a range at most: more is a slip of the keyboard.
const MOST: f64 = 10_000.0;

/// Reads `0,0.5,1`, `5:50:5` (first, last, step), `kv,random` or any mix of these.
///
/// # Errors
/// Where a range makes no sense.
pub fn list(text: &str) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    for part in split(text) {
        match range(&part)? {
            Some(range) => values.extend(range),
            None => values.push(value_of(&part)),
        }
    }
    Ok(values)
}

/// Splits at the commas outside brackets, braces and quotes.
pub fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut depth, mut quote) = (0i32, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    parts.push(part);
    parts
}

/// The values of `first:last:step`; `None` where the text is no such thing.
///
/// # Errors
/// Where the step does not lead from the first value to the last.
pub fn range(text: &str) -> Result<Option<Vec<Value>>> {
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let numbers: Vec<f64> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let &[first, last, step] = numbers.as_slice() else {
        return Ok(None);
    };
    if parts.len() != 3 {
        return Ok(None);
    }
    let steps = ((last - first) / step + 1e-9).floor();
    if !(0.0..MOST).contains(&steps) || step == 0.0 {
        return Err(Error::input(format!(
            "the range {text} has no values, or more than {MOST}; write first:last:step, for \
             example 5:50:5"
        )));
    }
    let whole = parts.iter().all(|part| part.parse::<i64>().is_ok());
    let value = |index: usize| {
        // Rounded, so that steps of 0.1 give 0.3 and not 0.30000000000000004.
        let value = ((first + index as f64 * step) * 1e9).round() / 1e9;
        if whole { Value::Integer(value as i64) } else { Value::Float(value) }
    };
    Ok(Some((0..=steps as usize).map(value).collect()))
}

/// A value as it is shown in tables and written to CSV: TOML without quotes, 1.0 as 1.
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => number.to_string(),
        Value::Array(values) => values.iter().map(show).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A value as a number, where it is one.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Whether two values are the same setting: 1 and 1.0 are.
pub fn same(a: &Value, b: &Value) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => show(a) == show(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        list(text).unwrap().iter().map(show).collect()
    }

    #[test]
    fn lists_and_ranges() {
        assert_eq!(shown("0,0.5,1,4"), ["0", "0.5", "1", "4"]);
        assert_eq!(shown("5:20:5"), ["5", "10", "15", "20"]);
        assert_eq!(shown("0.1:0.35:0.1,2"), ["0.1", "0.2", "0.3", "2"]);
        assert_eq!(shown("3:1:-1"), ["3", "2", "1"]);
        assert_eq!(shown("kv, round-robin"), ["kv", "round-robin"]);
        assert_eq!(shown("[1,2],[3]"), ["1,2", "3"]);
        assert_eq!(shown("\"a,b\",true"), ["a,b", "true"]);
        assert_eq!(shown("ttft:500 itl:50"), ["ttft:500 itl:50"]);
        assert_eq!(list("5:50:5").unwrap()[0], Value::Integer(5));
    }

    #[test]
    fn ranges_that_lead_nowhere_are_refused() {
        for wrong in ["5:1:1", "1:5:0", "1:5:-1", "0:1:1e-9"] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whole_numbers_and_floats_are_the_same_setting() {
        assert!(same(&Value::Integer(1), &Value::Float(1.0)));
        assert!(!same(&Value::Integer(1), &Value::String("kv".into())));
    }
}
