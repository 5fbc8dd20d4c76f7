//! Which format a trace has, from the first line of its text.

use super::records::echo;
use crate::error::{Error, Result};
use crate::scenario::TraceFormat;
use clap::ValueEnum;
use std::path::Path;

/// Tells the format by the first bytes of a file, which may end within a line.
pub(super) fn detect(path: &Path, head: &[u8]) -> Result<TraceFormat> {
    let text = String::from_utf8_lossy(head.trim_ascii_start());
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Error::input(format!(
            "{} is empty; a trace holds at least one request",
            path.display()
        )));
    }
    of_first_line(line, &text).ok_or_else(|| {
        Error::input(format!(
            "{}, line 1: the format of this trace cannot be told from \"{}\"; name it with --trace-format {}",
            path.display(),
            echo(line),
            names()
        ))
    })
}

fn of_first_line(line: &str, text: &str) -> Option<TraceFormat> {
    let key = |name: &str| line.contains(&format!("\"{name}\""));
    match line.as_bytes()[0] {
        b'[' => Some(TraceFormat::Sharegpt),
        b'{' if key("prompt_ids") => Some(TraceFormat::Tokens),
        b'{' if key("chat_id") => Some(TraceFormat::Bailian),
        b'{' if key("requests") => Some(TraceFormat::Weka),
        b'{' if key("timestamp") || key("hash_ids") => Some(TraceFormat::Mooncake),
        b'{' => text.contains("\"conversations\"").then_some(TraceFormat::Sharegpt),
        _ => of_header(line),
    }
}

fn of_header(line: &str) -> Option<TraceFormat> {
    let has = |name: &str| line.split(',').any(|field| field.trim().trim_matches('"') == name);
    if has("TIMESTAMP") && has("ContextTokens") {
        return Some(TraceFormat::Azure);
    }
    (has("Timestamp") && has("Request tokens")).then_some(TraceFormat::Burstgpt)
}

/// The values of `--trace-format`.
pub(super) fn names() -> String {
    let names: Vec<String> = TraceFormat::value_variants()
        .iter()
        .filter_map(|format| Some(format.to_possible_value()?.get_name().to_string()))
        .collect();
    names.join("|")
}
