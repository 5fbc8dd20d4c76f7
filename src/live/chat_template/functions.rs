//! The environment that transformers gives chat templates, and what Python's Jinja has and ours not.

use crate::live::clock;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// An environment that holds the template `source` under `name`.
pub(super) fn environment(name: &'static str, source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |why: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, why))
    });
    environment.add_function("strftime_now", |format: String| {
        strftime(&format, clock::unix_ns() / 1_000_000_000)
    });
    environment.add_template_owned(name, without_generation(source))?;
    Ok(environment)
}

/// Marks of what an assistant says, of use in training only, become blocks that change nothing.
fn without_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{%") {
        out += before;
        out += "{%";
        let (tag, next) = after.split_once("%}").unwrap_or((after, ""));
        match tag.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') {
            "generation" => out += &tag.replace("generation", "if true"),
            "endgeneration" => out += &tag.replace("endgeneration", "endif"),
            _ => out += tag,
        }
        if tag.len() < after.len() {
            out += "%}";
        }
        rest = next;
    }
    out + rest
}

/// As Python's `json.dumps(value, ensure_ascii=False, indent=indent)`; keys keep their order.
fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width);
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut out, Spaced)),
    };
    let wrong = |why: String| Error::new(ErrorKind::BadSerialization, why);
    written.map_err(|why| wrong(why.to_string()))?;
    let text = String::from_utf8(out).map_err(|why| wrong(why.to_string()))?;
    Ok(Value::from_safe_string(text))
}

/// JSON with a space after commas and colons.
struct Spaced;

impl Spaced {
    fn separator<W: ?Sized + Write>(writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
}

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        Spaced::separator(out, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        Spaced::separator(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// `seconds` since 1970, in UTC (that of most servers), in the conversions that templates use; others
/// stay as they are.
fn strftime(format: &str, seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            out.push(next);
            continue;
        }
        out += &match rest.next() {
            Some('Y') => year.to_string(),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('B') => month_name.to_string(),
            Some('b') => month_name[..3].to_string(),
            Some('A') => day_name.to_string(),
            Some('a') => day_name[..3].to_string(),
            Some('H') => format!("{:02}", second / 3600),
            Some('M') => format!("{:02}", second / 60 % 60),
            Some('S') => format!("{:02}", second % 60),
            Some('%') | None => "%".to_string(),
            Some(other) => format!("%{other}"),
        };
    }
    out
}

/// Year, month and day (from 1), `days` after 1970-01-01, by counting years from a March: leap days
/// then come last.
fn date(days: u64) -> (u64, u64, u64) {
    let since = days + 719_468;
    let (era, day) = (since / 146_097, since % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month < 3), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| strftime("%a %A, %d %b %B %Y %m %H:%M:%S 100%% %q", seconds);
        assert_eq!(at(0), "Thu Thursday, 01 Jan January 1970 01 00:00:00 100% %q");
        assert_eq!(at(1_709_210_096), "Thu Thursday, 29 Feb February 2024 02 12:34:56 100% %q");
        assert_eq!(at(4_102_444_799), "Thu Thursday, 31 Dec December 2099 12 23:59:59 100% %q");
    }

    #[test]
    fn marks_of_generations_change_nothing() {
        let source =
            "a{%- generation -%} b {%endgeneration%}{% if x %}{{ generation }}{% endif %}{%";
        let expected = "a{%- if true -%} b {%endif%}{% if x %}{{ generation }}{% endif %}{%";
        assert_eq!(without_generation(source), expected);
    }
}
