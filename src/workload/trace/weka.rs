//! WEKA agentic JSONL: one conversation a line, its requests timed in seconds from its start, with
//! hashes of whole 64-token blocks only (the remainder of a prompt has none and is unique).
//!
//! Hashes are local to the conversation unless it says otherwise. A sub-agent is an entry with
//! requests of its own, timed from its start, in the same space of hashes.

use super::fields::Loose;
use super::records::Fault;
use super::{Content, hashed};
use crate::prompt::Segment;
use crate::units::Nanos;
use crate::workload::{Turn, When};
use serde::Deserialize;
use smallvec::smallvec;

const BLOCK: u32 = 64;
const NS_PER_S: u64 = 1_000_000_000;

#[derive(Deserialize)]
struct Conversation {
    #[serde(default)]
    block_size: Loose,
    #[serde(default)]
    hash_id_scope: Loose,
    requests: Vec<Entry>,
}

/// A request, or a sub-agent with requests of its own.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    t: Loose,
    #[serde(default, rename = "in")]
    input: Loose,
    #[serde(default)]
    out: Loose,
    #[serde(default)]
    hash_ids: Vec<u64>,
    requests: Option<Vec<Entry>>,
}

/// The turns of the conversation on line `number`, in order of time.
pub(super) fn parse(text: &[u8], number: u64) -> Result<Vec<Turn>, Fault> {
    let conversation: Conversation = serde_json::from_slice(text)?;
    let block = match conversation.block_size {
        Loose::Missing => BLOCK,
        ref size => size.tokens("block_size")?,
    };
    let shared = conversation.hash_id_scope == Loose::Other("the text \"global\"".into());
    let mut reader =
        Reader { block, scope: if shared { 0 } else { number }, line: number, turns: Vec::new() };
    reader.entries(&conversation.requests, Nanos::ZERO, "requests")?;
    let mut turns = reader.turns;
    turns.sort_by_key(|(at, _)| *at);
    Ok(turns.into_iter().map(|(_, turn)| turn).collect())
}

struct Reader {
    block: u32,
    /// Conversation that the hashes belong to; 0 for all.
    scope: u64,
    line: u64,
    turns: Vec<(Nanos, Turn)>,
}

impl Reader {
    fn entries(&mut self, entries: &[Entry], base: Nanos, path: &str) -> Result<(), Fault> {
        for (place, entry) in entries.iter().enumerate() {
            let named = |what: String| Fault::from(format!("{path}[{place}].{what}"));
            let at = base + entry.t.nanos("t", NS_PER_S).map_err(named)?;
            match &entry.requests {
                Some(inner) => self.entries(inner, at, &format!("{path}[{place}].requests"))?,
                None => {
                    let turn = self.turn(entry, at).map_err(named)?;
                    self.turns.push((at, turn));
                }
            }
        }
        Ok(())
    }

    fn turn(&self, entry: &Entry, at: Nanos) -> Result<Turn, String> {
        let length = entry.input.tokens("in")?;
        // A request that was broken off has no output, yet its prompt was read and its successors
        // build on it: it is kept, with the shortest output there is.
        let output_tokens = entry.out.tokens_or_none("out")?.max(1);
        let place = self.turns.len() as u64;
        Ok(Turn {
            when: When::Offset(at),
            prompt: self.prompt(&entry.hash_ids, length, place)?,
            output: smallvec![Content::Output.segment([self.line, place], output_tokens)],
        })
    }

    fn prompt(&self, ids: &[u64], length: u32, place: u64) -> Result<Vec<Segment>, String> {
        let (block, wanted) = (self.block, (length / self.block) as usize);
        if ids.len() != wanted {
            return Err(format!(
                "hash_ids has {} entries, but in {length} holds {wanted} whole blocks of {block} tokens",
                ids.len()
            ));
        }
        let mut prompt = hashed(ids, length, block, |id, tokens| {
            Content::Weka.segment([self.scope, id], tokens)
        });
        let rest = length % block;
        if rest > 0 {
            prompt.push(Content::Unique.segment([self.line, place], rest));
        }
        Ok(prompt)
    }
}
