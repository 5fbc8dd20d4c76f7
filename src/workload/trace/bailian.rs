//! Qwen-Bailian JSONL: one request a line with `timestamp` in seconds, 16-token blocks, and the chat
//! that it continues. A session is a root chat with all that descends from it.
//!
//! Requests of many sessions interleave in the file, so a session is only known when the file ends:
//! this is the one row format that is read whole.

use super::fields::Loose;
use super::mooncake::check_blocks;
use super::records::{Fault, Records};
use super::rows::{Chat, Parsed, Row, RowFormat, Rows};
use super::{Content, hashed};
use crate::error::Result;
use crate::units::Nanos;
use crate::workload::{Session, Turn, When};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use smallvec::smallvec;
use std::vec::IntoIter;

const BLOCK: u32 = 16;
const NS_PER_S: u64 = 1_000_000_000;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    chat_id: Loose,
    #[serde(default)]
    parent_chat_id: Loose,
    #[serde(default)]
    timestamp: Loose,
    #[serde(default)]
    input_length: Loose,
    #[serde(default)]
    output_length: Loose,
    hash_ids: Vec<u64>,
}

pub(super) struct Bailian;

impl RowFormat for Bailian {
    fn parse(&mut self, text: &[u8], number: u64) -> std::result::Result<Parsed, Fault> {
        let line: Line = serde_json::from_slice(text)?;
        let chat = Chat {
            id: line.chat_id.id("chat_id")?,
            parent: line.parent_chat_id.id("parent_chat_id")?,
        };
        let at = line.timestamp.nanos("timestamp", NS_PER_S)?;
        let length = line.input_length.tokens("input_length")?;
        let output_tokens = line.output_length.tokens("output_length")?;
        check_blocks(line.hash_ids.len(), length, BLOCK)?;
        let prompt = hashed(&line.hash_ids, length, BLOCK, |id, tokens| {
            Content::Bailian.segment([id, 0], tokens)
        });
        Ok(Parsed::Row(Row {
            at: Some(at),
            prompt,
            output: smallvec![Content::Output.segment([number, 0], output_tokens)],
            chat: Some(chat),
        }))
    }
}

/// All sessions of a Bailian trace, in order of their first request.
pub(super) fn sessions(rows: &mut Rows, records: &mut Records) -> Result<IntoIter<Session>> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut session_of: FxHashMap<i64, usize> = FxHashMap::default();
    while let Some(row) = rows.next(records)? {
        let chat = row.chat.unwrap_or(Chat { id: -1, parent: -1 });
        let at = row.at.unwrap_or(Nanos::ZERO);
        // A parent before the window, or lost with a skipped line, leaves the chat to be a root.
        let known = session_of.get(&chat.parent).copied();
        let place = known.filter(|_| chat.parent >= 0).unwrap_or(sessions.len());
        if place == sessions.len() {
            sessions.push(Session { id: place as u64, start: Some(at), turns: Vec::new() });
        }
        session_of.insert(chat.id, place);
        let session = &mut sessions[place];
        let start = session.start.unwrap_or(Nanos::ZERO);
        session.turns.push(Turn {
            when: When::Offset(at - start),
            prompt: row.prompt,
            output: row.output,
        });
    }
    Ok(sessions.into_iter())
}
