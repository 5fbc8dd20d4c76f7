//! ShareGPT JSON: conversations as text, in an array or one after the other.
//!
//! There are no token counts: a text is taken to have one token for every four characters, rounded
//! up. There are no times either: a turn follows as soon as the one before has been answered. The
//! prompt of a turn is all that was said before it. Texts that are equal have equal content; texts
//! that merely begin alike do not share their beginning.

use super::Content;
use super::records::Fault;
use crate::prompt::Segment;
use crate::units::Nanos;
use crate::workload::{Turn, When};
use serde::Deserialize;
use smallvec::smallvec;
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

/// Characters that are taken to make one token.
const CHARS_PER_TOKEN: usize = 4;

/// Who answers, in the words of the files that are about.
const ASSISTANTS: [&str; 6] = ["gpt", "assistant", "chatgpt", "bing", "bard", "model"];

#[derive(Deserialize)]
struct Conversation<'a> {
    #[serde(borrow, alias = "messages")]
    conversations: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, alias = "role")]
    from: Cow<'a, str>,
    #[serde(borrow, alias = "content")]
    value: Cow<'a, str>,
}

/// The turns of a conversation: one for every answer that something was said before.
pub(super) fn parse(text: &[u8], _line: u64) -> Result<Vec<Turn>, Fault> {
    let conversation: Conversation = serde_json::from_slice(text)?;
    let mut history: Vec<Segment> = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for message in conversation.conversations.iter().filter(|m| !m.value.is_empty()) {
        let answer = ASSISTANTS.contains(&&*message.from);
        let said = segment(&message.value, answer)?;
        if answer && !history.is_empty() {
            turns.push(Turn {
                when: after(turns.len()),
                prompt: history.clone(),
                output: smallvec![said],
            });
        }
        history.push(said);
    }
    Ok(turns)
}

fn after(turns: usize) -> When {
    match turns.checked_sub(1) {
        Some(previous) => When::After(smallvec![previous as u32], Nanos::ZERO),
        None => When::Offset(Nanos::ZERO),
    }
}

fn segment(text: &str, answer: bool) -> Result<Segment, String> {
    let tokens = text.chars().count().div_ceil(CHARS_PER_TOKEN);
    let tokens = u32::try_from(tokens).map_err(|_| "a message is too long".to_string())?;
    Ok(Content::Text.segment([xxh3_64(text.as_bytes()), u64::from(answer)], tokens))
}
