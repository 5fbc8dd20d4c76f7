//! Mooncake JSONL: one request a line with `timestamp` in milliseconds, lengths, and the hashes of
//! 512-token blocks, the last of which may be partial.

use super::fields::Loose;
use super::records::Fault;
use super::rows::{Parsed, Row, RowFormat};
use super::{Content, hashed};
use serde::Deserialize;
use smallvec::smallvec;

const BLOCK: u32 = 512;
const NS_PER_MS: u64 = 1_000_000;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    timestamp: Loose,
    #[serde(default)]
    input_length: Loose,
    #[serde(default)]
    output_length: Loose,
    hash_ids: Vec<u64>,
}

pub(super) struct Mooncake;

impl RowFormat for Mooncake {
    fn parse(&mut self, text: &[u8], number: u64) -> Result<Parsed, Fault> {
        let line: Line = serde_json::from_slice(text)?;
        let at = line.timestamp.nanos("timestamp", NS_PER_MS)?;
        let length = line.input_length.tokens("input_length")?;
        let output_tokens = line.output_length.tokens("output_length")?;
        check_blocks(line.hash_ids.len(), length, BLOCK)?;
        let prompt = hashed(&line.hash_ids, length, BLOCK, |id, tokens| {
            Content::Mooncake.segment([id, 0], tokens)
        });
        Ok(Parsed::Row(Row {
            at: Some(at),
            prompt,
            output: smallvec![Content::Output.segment([number, 0], output_tokens)],
            chat: None,
        }))
    }
}

/// One hash per block, the partial one at the end included.
pub(super) fn check_blocks(ids: usize, length: u32, block: u32) -> Result<(), String> {
    let wanted = length.div_ceil(block) as usize;
    if ids == wanted {
        return Ok(());
    }
    Err(format!(
        "hash_ids has {ids} entries, but input_length {length} needs {wanted} (one for every {block} tokens)"
    ))
}
