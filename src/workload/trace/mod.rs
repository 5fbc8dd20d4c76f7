//! Trace files as streams of sessions.
//!
//! [`open`] streams one; [`scan`] reads it once from end to end and refuses what is wrong with it
//! before anything is run. A file is cut into records, a record is turned into a row
//! (one request with its own timestamp) or straight into a session (a whole conversation), and a
//! window is applied to either. Content ids are hashes under a domain of their own, so no two
//! formats, and no trace and generator, ever share content by accident.

mod azure;
mod bailian;
pub mod blocks;
mod burstgpt;
mod csv_line;
mod detect;
mod fields;
mod input;
mod mooncake;
mod records;
mod rows;
mod shared;
mod sharegpt;
mod stream;
mod tokens;
mod weka;
mod write;

pub use records::Skipped;
pub use shared::{SharedStream, SharedTrace};
pub use stream::{TraceFacts, TraceStream, open, open_hashed, scan};
pub use write::{MooncakeWriter, write_mooncake, write_source};

use crate::prompt::{Segment, mix};
use crate::scenario::{TraceFormat, WorkloadKind, WorkloadSpec};
use std::path::Path;

/// What a content id of a trace stands for. The discriminants are part of the results.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// A Mooncake block, by `hash_id`.
    Mooncake = 1,
    /// A Bailian block, by `hash_id`.
    Bailian = 2,
    /// A WEKA block, by conversation and `hash_id`.
    Weka = 3,
    /// Text, by its hash and who wrote it.
    Text = 4,
    /// A prompt, or the end of one, that nothing else shares, by line and place in the line.
    Unique = 5,
    /// An output, by line and place in the line.
    Output = 6,
    /// One token, by its id in the vocabulary.
    Token = 7,
}

/// First word of every content id that comes from a trace.
const TRACE: u64 = u64::from_le_bytes(*b"trace\0\0\0");

impl Content {
    fn segment(self, words: [u64; 2], tokens: u32) -> Segment {
        Segment { content: mix(&[TRACE, self as u64, words[0], words[1]]), tokens }
    }
}

/// One segment per hashed block of `block_tokens`; the last takes what is left of `length`.
fn hashed(
    ids: &[u64],
    length: u32,
    block_tokens: u32,
    segment: impl Fn(u64, u32) -> Segment,
) -> Vec<Segment> {
    let mut left = length;
    let mut block = |id: &u64| {
        let tokens = left.min(block_tokens);
        left -= tokens;
        segment(*id, tokens)
    };
    ids.iter().map(&mut block).collect()
}

/// The settings that replay a whole trace with its own times.
pub fn spec(path: &Path) -> WorkloadSpec {
    WorkloadSpec {
        kind: WorkloadKind::Trace,
        requests: None,
        duration: None,
        prompt_tokens: None,
        output_tokens: None,
        arrival: None,
        speedup: 1.0,
        trace: Some(path.into()),
        trace_format: None,
        trace_sha256: None,
        start: None,
        limit: None,
        sort_arrivals: false,
        skip_bad_lines: false,
        shared_prefix: None,
        multi_turn: None,
        similar: None,
        diverse: None,
        agentic: None,
        mix: Vec::new(),
    }
}

/// Tokens in a block of the trace's own hashes; `None` where it records no prefixes.
pub fn native_block_tokens(format: TraceFormat) -> Option<u32> {
    match format {
        TraceFormat::Mooncake => Some(512),
        TraceFormat::Weka => Some(64),
        TraceFormat::Bailian => Some(16),
        TraceFormat::Azure
        | TraceFormat::Burstgpt
        | TraceFormat::Sharegpt
        | TraceFormat::Tokens => None,
    }
}

/// Whether prompts can share anything at all: Azure and BurstGPT record lengths only.
pub fn has_prefixes(format: TraceFormat) -> bool {
    !matches!(format, TraceFormat::Azure | TraceFormat::Burstgpt)
}

#[cfg(test)]
mod tests;
