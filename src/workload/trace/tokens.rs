//! Recordings as JSONL: one request a line with its token ids, `prompt_ids` and `output_ids`, and when
//! it arrived: `arrival` in seconds, `timestamp` in milliseconds, or neither. Other keys are ignored.
//!
//! Every token is a segment of its own, and its content follows from its id alone. So equal tokens
//! make equal blocks whatever the block size, also where a block is half prompt and half output.

use super::Content;
use super::fields::Loose;
use super::records::Fault;
use super::rows::{Parsed, Row, RowFormat};
use crate::prompt::Segment;
use crate::units::Nanos;
use serde::Deserialize;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    arrival: Loose,
    #[serde(default)]
    timestamp: Loose,
    prompt_ids: Vec<u32>,
    output_ids: Vec<u32>,
}

#[derive(Default)]
pub(super) struct Tokens {
    /// The first line that was read, and whether it has a time.
    first: Option<(u64, bool)>,
}

impl RowFormat for Tokens {
    fn parse(&mut self, text: &[u8], number: u64) -> Result<Parsed, Fault> {
        let line: Line = serde_json::from_slice(text)?;
        if line.prompt_ids.is_empty() {
            return Err("prompt_ids is empty; it must hold at least one token id"
                .to_string()
                .into());
        }
        let at = line.at()?;
        let (first, timed) = *self.first.get_or_insert((number, at.is_some()));
        if timed != at.is_some() {
            return Err(Fault::from(mixed(first, timed)));
        }
        if line.output_ids.is_empty() {
            return Ok(Parsed::Failed);
        }
        Ok(Parsed::Row(Row {
            at,
            prompt: segments(&line.prompt_ids),
            output: segments(&line.output_ids).into(),
            chat: None,
        }))
    }
}

impl Line {
    fn at(&self) -> Result<Option<Nanos>, String> {
        let at = match (&self.arrival, &self.timestamp) {
            (Loose::Missing, Loose::Missing) => return Ok(None),
            (Loose::Missing, ms) => ms.nanos("timestamp", NS_PER_MS),
            (seconds, _) => seconds.nanos("arrival", NS_PER_S),
        };
        at.map(Some)
    }
}

fn segments(ids: &[u32]) -> Vec<Segment> {
    ids.iter().map(|id| Content::Token.segment([u64::from(*id), 0], 1)).collect()
}

/// A request without a time among others that have one could be placed nowhere, and the reverse.
fn mixed(first: u64, timed: bool) -> String {
    let (here, there) = if timed { ("no", "one") } else { ("a", "none") };
    format!(
        "it has {here} time (arrival or timestamp), line {first} has {there}; give every request a time, or none"
    )
}
