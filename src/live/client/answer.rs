//! What a response says, chunk by chunk: text, usage, the end, and when each token came.
//!
//! The first token is the first chunk with content or reasoning; role-only and empty chunks are no
//! tokens. Chunks that one read brought have one arrival: when each of them came cannot be known, so
//! they are counted as coalesced, and the time since the chunk before them is shared out evenly: no
//! zero gaps, and the gaps of an answer add up to the time from its first token to its last.

use super::sse::TooLong;
use crate::live::record::{Failure, Usage};
use crate::units::Nanos;
use serde::Deserialize;

/// Why a response is no answer: the reason, and what exactly was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The reason it is counted under.
    pub failure: Failure,
    /// In words.
    pub words: String,
}

impl Fault {
    /// A fault for `failure`.
    pub fn new(failure: Failure, words: impl Into<String>) -> Fault {
        Fault { failure, words: words.into() }
    }

    /// What to do where a server cannot be reached at all.
    pub fn cure(&self) -> &'static str {
        match self.failure {
            Failure::Tls => {
                "give its certificate with --cacert, trust any with --insecure, or write http:// if it \
                 has no TLS"
            }
            _ => "is the server running?",
        }
    }
}

impl From<TooLong> for Fault {
    fn from(_: TooLong) -> Fault {
        Fault::new(Failure::Malformed, "an event has no end")
    }
}

/// An answer, as far as it has come.
#[derive(Debug, Default)]
pub struct Answer {
    /// Content, without reasoning.
    pub text: String,
    /// Chunks with content or reasoning.
    pub chunks: u32,
    /// Of these, with reasoning.
    pub reasoning_chunks: u32,
    /// Of these, read together with an earlier one.
    pub coalesced: u32,
    /// Gaps between chunks, nanoseconds, but for those read together with the first one; complete after
    /// [`Answer::settle`].
    pub gaps: Vec<u64>,
    /// First chunk with content or reasoning.
    pub first_token: Option<Nanos>,
    /// First chunk with content.
    pub first_output: Option<Nanos>,
    /// Second chunk with content or reasoning.
    pub second_token: Option<Nanos>,
    /// Last chunk with content or reasoning.
    pub last_token: Option<Nanos>,
    /// What the server said about tokens.
    pub usage: Option<Usage>,
    /// A choice has a finish reason.
    pub finished: bool,
    /// `[DONE]` was seen.
    pub done: bool,
    /// Which read brought the last chunk.
    last_read: u64,
    /// Chunks of that read so far, and the time since the chunk before them; 0 chunks for the first.
    group: (u64, u64),
}

/// When bytes arrived, and by which read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Arrival of the bytes.
    pub at: Nanos,
    /// Number of the read.
    pub read: u64,
}

impl Answer {
    /// Takes the data of one event of a stream.
    ///
    /// # Errors
    /// Where it is no chunk of a chat or text completion, or reports an error.
    pub fn event(&mut self, data: &[u8], arrival: Arrival) -> Result<(), Fault> {
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk = parse(data)?;
        let mut is_token = false;
        for choice in &chunk.choices {
            self.finished |= choice.finish_reason.is_some();
            let delta = choice.delta.as_ref();
            let reasoning = delta.is_some_and(Message::reasons);
            let content = delta.and_then(|delta| delta.content.as_deref());
            let content = content.or(choice.text.as_deref()).unwrap_or("");
            self.reasoning_chunks += u32::from(reasoning);
            if !content.is_empty() {
                self.text.push_str(content);
                self.first_output.get_or_insert(arrival.at);
            }
            is_token |= reasoning || !content.is_empty() || delta.is_some_and(Message::calls_tools);
        }
        if is_token {
            self.token(arrival);
        }
        self.usage = chunk.usage.map(RawUsage::read).or(self.usage);
        Ok(())
    }

    fn token(&mut self, arrival: Arrival) {
        self.chunks += 1;
        match self.last_token {
            None => self.first_token = Some(arrival.at),
            Some(_) if arrival.read == self.last_read => {
                self.coalesced += 1;
                self.group.0 += u64::from(self.group.0 > 0);
            }
            Some(last) => {
                self.settle();
                self.group = (1, arrival.at.saturating_sub(last).0);
            }
        }
        if self.chunks == 2 {
            self.second_token = Some(arrival.at);
        }
        self.last_token = Some(arrival.at);
        self.last_read = arrival.read;
    }

    /// Shares out the time before the chunks of the last read.
    pub fn settle(&mut self) {
        let (chunks, span) = std::mem::take(&mut self.group);
        self.gaps.extend((0..chunks).map(|_| span / chunks));
    }

    /// Takes a whole response that was not streamed. Its tokens have no times but the last.
    ///
    /// # Errors
    /// As [`Answer::event`].
    pub fn whole(&mut self, body: &[u8], at: Nanos) -> Result<(), Fault> {
        let response = parse(body)?;
        for choice in response.choices {
            self.finished = true;
            let message = choice.message.unwrap_or_default();
            let (reasons, calls) = (message.reasons(), message.calls_tools());
            let text = message.content.or(choice.text).unwrap_or_default();
            self.text.push_str(&text);
            self.reasoning_chunks += u32::from(reasons);
            self.chunks += u32::from(reasons || calls || !text.is_empty());
        }
        self.done = self.finished;
        self.last_token = Some(at);
        self.usage = response.usage.map(RawUsage::read);
        Ok(())
    }
}

fn parse(data: &[u8]) -> Result<Response, Fault> {
    let text = std::str::from_utf8(data)
        .map_err(|why| Fault::new(Failure::BadUtf8, format!("the response is not UTF-8: {why}")))?;
    let response: Response = serde_json::from_str(text).map_err(|why| {
        Fault::new(Failure::Malformed, format!("no JSON of a completion: {why}: {}", head(text)))
    })?;
    match response.error {
        Some(error) if !error.is_null() => {
            Err(Fault::new(Failure::InStream, head(&error.to_string())))
        }
        _ => Ok(response),
    }
}

/// The beginning of a text, for messages.
pub fn head(text: &str) -> String {
    let mut head: String = text.chars().take(200).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head.replace(['\n', '\r'], " ")
}

/// A chunk of a stream, or a whole response; what is not listed is passed over.
#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Message>,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    /// DeepSeek, vLLM before 0.12 and SGLang.
    #[serde(default)]
    reasoning_content: Option<String>,
    /// vLLM since 0.12 and OpenRouter.
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<serde::de::IgnoredAny>>,
}

impl Message {
    fn reasons(&self) -> bool {
        [&self.reasoning_content, &self.reasoning]
            .into_iter()
            .flatten()
            .any(|text| !text.is_empty())
    }

    fn calls_tools(&self) -> bool {
        self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
    }
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
}

impl RawUsage {
    fn read(self) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: self.prompt_tokens_details.and_then(|details| details.cached_tokens),
            reasoning_tokens: self
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(delta: &str) -> Vec<u8> {
        format!(r#"{{"id":"x","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
            .into_bytes()
    }

    fn at(ms: u64, read: u64) -> Arrival {
        Arrival { at: Nanos(ms * 1_000_000), read }
    }

    #[test]
    fn the_first_token_is_the_first_content_or_reasoning() {
        let mut answer = Answer::default();
        answer.event(&chunk(r#"{"role":"assistant"}"#), at(1, 1)).unwrap();
        answer.event(&chunk(r#"{"role":"assistant","content":""}"#), at(2, 2)).unwrap();
        answer.event(&chunk(r#"{"reasoning_content":"hm"}"#), at(3, 3)).unwrap();
        answer.event(&chunk(r#"{"reasoning":"well"}"#), at(5, 4)).unwrap();
        answer.event(&chunk(r#"{"content":" yes"}"#), at(9, 5)).unwrap();
        assert_eq!(answer.first_token, Some(Nanos(3_000_000)));
        assert_eq!(answer.first_output, Some(Nanos(9_000_000)));
        assert_eq!(answer.second_token, Some(Nanos(5_000_000)));
        answer.settle();
        assert_eq!(answer.gaps, [2_000_000, 4_000_000]);
        assert_eq!((answer.chunks, answer.reasoning_chunks, answer.coalesced), (3, 2, 0));
        assert_eq!(answer.text, " yes");
        assert!(!answer.finished && !answer.done);
    }

    #[test]
    fn chunks_of_one_read_are_counted_and_share_the_time_before_them() {
        let mut answer = Answer::default();
        for (ms, read) in [(1, 1), (1, 1), (6, 2), (6, 2), (6, 2), (9, 3)] {
            answer.event(&chunk(r#"{"content":"a"}"#), at(ms, read)).unwrap();
        }
        answer.settle();
        assert_eq!((answer.chunks, answer.coalesced), (6, 3));
        let third = 5_000_000 / 3;
        assert_eq!(answer.gaps, [third, third, third, 3_000_000]);
    }

    #[test]
    fn usage_comes_with_or_without_its_details() {
        let mut answer = Answer::default();
        let usage = br#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,
            "prompt_tokens_details":{"cached_tokens":8},
            "completion_tokens_details":{"reasoning_tokens":3}}}"#;
        answer.event(usage, at(1, 1)).unwrap();
        let found = answer.usage.unwrap();
        assert_eq!((found.prompt_tokens, found.completion_tokens), (9, 4));
        assert_eq!((found.cached_tokens, found.reasoning_tokens), (Some(8), Some(3)));
        let bare = br#"{"choices":[],"usage":{"prompt_tokens":9,"prompt_tokens_details":null}}"#;
        answer.event(bare, at(2, 2)).unwrap();
        assert_eq!(answer.usage.unwrap().cached_tokens, None);
    }

    #[test]
    fn text_completions_and_whole_responses() {
        let mut answer = Answer::default();
        let chunk = br#"{"choices":[{"text":"a","finish_reason":"length"}]}"#;
        answer.event(chunk, at(1, 1)).unwrap();
        answer.event(b"[DONE]", at(1, 1)).unwrap();
        assert!(answer.finished && answer.done);
        assert_eq!(answer.text, "a");
        let mut answer = Answer::default();
        let body = br#"{"choices":[{"message":{"role":"assistant","content":"hi"}}]}"#;
        answer.whole(body, Nanos(7)).unwrap();
        assert_eq!((answer.text.as_str(), answer.first_token), ("hi", None));
        assert_eq!(answer.last_token, Some(Nanos(7)));
    }

    #[test]
    fn each_kind_of_rubbish_has_its_reason() {
        let failure = |data: &[u8]| Answer::default().event(data, at(0, 1)).unwrap_err().failure;
        assert_eq!(failure(b"{\"choices\":[{\"delta\""), Failure::Malformed);
        assert_eq!(failure(b"\"choices\""), Failure::Malformed);
        assert_eq!(failure(b"{\"choices\":\"\xff\xfe\"}"), Failure::BadUtf8);
        assert_eq!(failure(br#"{"error":{"message":"out of memory"}}"#), Failure::InStream);
        assert!(Answer::default().event(br#"{"error":null,"choices":[]}"#, at(0, 1)).is_ok());
    }
}
