//! The JSON bodies of requests, written straight into a buffer.
//!
//! All that is the same for every request is written once, at the start. Our own texts hold letters
//! and spaces only and answers are kept escaped, so nothing is escaped per request.
//!
//! A completion's prompt is its messages joined without anything between them: the prompt of a later
//! turn then begins with the earlier prompt and its answer.

use super::conversation::{Message, Part, Prompt, Role};
use super::text::Pieces;
use crate::error::{Error, Result};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Which of the two interfaces is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EndpointType {
    /// `chat/completions`.
    Chat,
    /// `completions`.
    Completions,
}

impl EndpointType {
    /// Its path below the base URL.
    pub fn path(self) -> &'static str {
        match self {
            EndpointType::Chat => "chat/completions",
            EndpointType::Completions => "completions",
        }
    }

    /// Its word in options and results.
    pub fn name(self) -> &'static str {
        match self {
            EndpointType::Chat => "chat",
            EndpointType::Completions => "completions",
        }
    }
}

/// What bodies look like.
#[derive(Clone, Debug)]
pub struct BodySpec {
    /// Model asked for.
    pub model: String,
    /// Which interface.
    pub endpoint: EndpointType,
    /// Answers come token by token.
    pub streaming: bool,
    /// Outputs have exactly the length asked for (`ignore_eos`, `min_tokens`; vLLM's and SGLang's).
    pub ignore_eos: bool,
    /// More keys, which win over ours; `null` takes one of ours away.
    pub extra: Map<String, Value>,
}

/// Reads the JSON object of `--extra-body`.
///
/// # Errors
/// Where it is no JSON object.
pub fn parse_extra(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|why| {
        Error::input(format!(
            "--extra-body must be a JSON object, such as '{{\"temperature\": 0}}': {why}"
        ))
    })
}

/// Keys that only we can fill, and how to have what they would give.
const OURS: [(&str, &str); 4] = [
    ("messages", "the workload makes the prompts"),
    ("prompt", "the workload makes the prompts"),
    ("stream", "use --no-streaming"),
    ("n", "every request has one answer"),
];

/// Writes the bodies of one run.
#[derive(Clone, Debug)]
pub struct Bodies {
    endpoint: EndpointType,
    /// From the opening brace to where the prompt's value begins.
    head: Vec<u8>,
    /// What goes before the output length, each time it is written.
    lengths: Vec<&'static [u8]>,
    /// From after the last output length to the closing brace.
    tail: Vec<u8>,
}

impl Bodies {
    /// Prepares what all bodies have in common.
    ///
    /// # Errors
    /// Where `extra` holds a key that only we can fill.
    pub fn new(spec: &BodySpec) -> Result<Bodies> {
        if let Some((key, cure)) = OURS.iter().find(|(key, _)| spec.extra.contains_key(*key)) {
            return Err(Error::input(format!(
                "--extra-body may not hold the key \"{key}\": {cure}; take it out"
            )));
        }
        let ours = |key: &str| !spec.extra.contains_key(key);
        let mut head = format!("{{\"stream\":{}", spec.streaming);
        if spec.streaming && ours("stream_options") {
            head += ",\"stream_options\":{\"include_usage\":true}";
        }
        if ours("model") {
            head += &format!(",\"model\":{}", Value::from(spec.model.as_str()));
        }
        head += match spec.endpoint {
            EndpointType::Chat => ",\"messages\":[",
            EndpointType::Completions => ",\"prompt\":\"",
        };
        let mut lengths: Vec<&'static [u8]> = Vec::new();
        if ours("max_tokens") {
            lengths.push(b",\"max_tokens\":");
        }
        if spec.ignore_eos && ours("min_tokens") {
            lengths.push(b",\"min_tokens\":");
        }
        let mut tail = String::new();
        if spec.ignore_eos && ours("ignore_eos") {
            tail += ",\"ignore_eos\":true";
        }
        for (key, value) in spec.extra.iter().filter(|(_, value)| !value.is_null()) {
            tail += &format!(",{}:{value}", Value::from(key.as_str()));
        }
        tail.push('}');
        Ok(Bodies { endpoint: spec.endpoint, head: head.into(), lengths, tail: tail.into() })
    }

    /// The body of a request that asks for `output_tokens`.
    pub fn bytes(&self, pieces: &Pieces, prompt: &Prompt, output_tokens: u32) -> Bytes {
        let mut body = Vec::with_capacity(256 + 8 * prompt.tokens as usize);
        self.write(&mut body, pieces, prompt, output_tokens);
        body.into()
    }

    /// Appends the body of a request that asks for `output_tokens`.
    pub fn write(&self, out: &mut Vec<u8>, pieces: &Pieces, prompt: &Prompt, output_tokens: u32) {
        out.extend_from_slice(&self.head);
        match self.endpoint {
            EndpointType::Chat => chat(out, pieces, prompt),
            EndpointType::Completions => completion(out, pieces, prompt),
        }
        let number = output_tokens.to_string();
        for key in &self.lengths {
            out.extend_from_slice(key);
            out.extend_from_slice(number.as_bytes());
        }
        out.extend_from_slice(&self.tail);
    }
}

/// The messages, and the end of their array.
fn chat(out: &mut Vec<u8>, pieces: &Pieces, prompt: &Prompt) {
    for (place, message) in prompt.messages.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"{\"role\":\"" } else { b",{\"role\":\"" });
        out.extend_from_slice(message.role.name().as_bytes());
        out.extend_from_slice(b"\",\"content\":\"");
        for (place, part) in message.parts.iter().enumerate() {
            write_part(out, pieces, part, place == 0);
        }
        out.extend_from_slice(b"\"}");
    }
    out.push(b']');
}

/// The whole prompt, and the end of its string.
fn completion(out: &mut Vec<u8>, pieces: &Pieces, prompt: &Prompt) {
    let parts = prompt.messages.iter().flat_map(|message| &message.parts);
    for (place, part) in parts.enumerate() {
        write_part(out, pieces, part, place == 0);
    }
    out.push(b'"');
}

fn write_part(out: &mut Vec<u8>, pieces: &Pieces, part: &Part, first: bool) {
    match part {
        Part::Text(segment) => pieces.write(out, segment.content, 0, segment.tokens, first),
        Part::Answer(text) => out.extend_from_slice(text.as_bytes()),
    }
}

/// What each message of `prompt` says.
///
/// # Errors
/// Where an answer cannot be read back.
pub fn messages(pieces: &Pieces, prompt: &Prompt) -> Result<Vec<(Role, String)>> {
    let text = |message: &Message| {
        let mut quoted = vec![b'"'];
        for (place, part) in message.parts.iter().enumerate() {
            write_part(&mut quoted, pieces, part, place == 0);
        }
        quoted.push(b'"');
        Ok((message.role, unquoted(&quoted)?))
    };
    prompt.messages.iter().map(text).collect()
}

/// The whole prompt as a plain completion has it.
///
/// # Errors
/// As [`messages`].
pub fn whole(pieces: &Pieces, prompt: &Prompt) -> Result<String> {
    let mut quoted = vec![b'"'];
    completion(&mut quoted, pieces, prompt);
    unquoted(&quoted)
}

fn unquoted(quoted: &[u8]) -> Result<String> {
    serde_json::from_slice(quoted)
        .map_err(|why| Error::Run(format!("an answer cannot be read back: {why}")))
}

/// `text` as it stands between the quotes of a JSON string.
pub(super) fn escape(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

#[cfg(test)]
mod tests {
    use super::super::conversation::{Message, Role};
    use super::super::tokenizer::Tokenizer;
    use super::*;
    use crate::prompt::Segment;
    use serde_json::json;

    fn spec(endpoint: EndpointType) -> BodySpec {
        let model = "a \"model\"\\".to_string();
        BodySpec { model, endpoint, streaming: true, ignore_eos: true, extra: Map::new() }
    }

    fn text(content: u64) -> Part {
        Part::Text(Segment { content, tokens: 5 })
    }

    const ANSWER: &str = " Said \"so\",\n\u{e9}\u{1f642}\u{7}\\";

    fn prompt() -> Prompt {
        let message = |role, parts| Message { role, parts };
        let messages = vec![
            message(Role::System, vec![text(1)]),
            message(Role::User, vec![text(2), text(3)]),
            message(Role::Assistant, vec![Part::Answer(escape(ANSWER).into())]),
            message(Role::User, vec![text(4)]),
        ];
        Prompt { messages, tokens: 0, segments: Vec::new() }
    }

    fn pieces() -> Pieces {
        Pieces::find(&Tokenizer::load(None).unwrap()).unwrap()
    }

    /// The text of `contents`, five tokens each, one after the other.
    fn words(pieces: &Pieces, contents: &[u64], at_start: bool) -> String {
        let mut out = Vec::new();
        for (place, content) in contents.iter().enumerate() {
            pieces.write(&mut out, *content, 0, 5, at_start && place == 0);
        }
        String::from_utf8(out).unwrap()
    }

    fn body(spec: &BodySpec) -> Value {
        let mut out = Vec::new();
        Bodies::new(spec).unwrap().write(&mut out, &pieces(), &prompt(), 77);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_chat_has_its_messages_with_the_answers_as_they_were() {
        let pieces = pieces();
        let expected = json!({
            "stream": true,
            "stream_options": {"include_usage": true},
            "model": "a \"model\"\\",
            "messages": [
                {"role": "system", "content": words(&pieces, &[1], true)},
                {"role": "user", "content": words(&pieces, &[2, 3], true)},
                {"role": "assistant", "content": ANSWER},
                {"role": "user", "content": words(&pieces, &[4], true)},
            ],
            "max_tokens": 77,
            "min_tokens": 77,
            "ignore_eos": true,
        });
        assert_eq!(body(&spec(EndpointType::Chat)), expected);
    }

    #[test]
    fn the_prompt_of_a_completion_is_one_text_that_goes_on_after_the_answer() {
        let pieces = pieces();
        let (before, after) = (words(&pieces, &[1, 2, 3], true), words(&pieces, &[4], false));
        let found = body(&spec(EndpointType::Completions));
        assert_eq!(found["prompt"], json!(format!("{before}{ANSWER}{after}")));
        assert_eq!(found["messages"], Value::Null);
    }

    #[test]
    fn whether_it_streams_is_said_first() {
        let mut out = Vec::new();
        let spec = BodySpec { streaming: false, ignore_eos: false, ..spec(EndpointType::Chat) };
        Bodies::new(&spec).unwrap().write(&mut out, &pieces(), &prompt(), 77);
        assert!(out.starts_with(b"{\"stream\":false,\"model\":"));
        let found: Value = serde_json::from_slice(&out).unwrap();
        let keys: Vec<_> = found.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["max_tokens", "messages", "model", "stream"]);
    }

    #[test]
    fn extra_keys_win_over_ours_and_null_takes_ours_away() {
        let extra = r#"{"max_tokens": 5, "min_tokens": null, "model": "m", "temperature": 0.5,
            "chat_template_kwargs": {"enable_thinking": false}, "stream_options": null}"#;
        let extra = parse_extra(extra).unwrap();
        let spec = BodySpec { extra, ..spec(EndpointType::Chat) };
        let mut found = body(&spec);
        found.as_object_mut().unwrap().remove("messages");
        let expected = json!({
            "stream": true, "max_tokens": 5, "model": "m", "temperature": 0.5, "ignore_eos": true,
            "chat_template_kwargs": {"enable_thinking": false},
        });
        assert_eq!(found, expected);
        let mut out = Vec::new();
        Bodies::new(&spec).unwrap().write(&mut out, &pieces(), &prompt(), 77);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("\"model\"").count(), 1, "no key comes twice");
    }

    #[test]
    fn extra_keys_that_only_we_can_fill_are_refused_with_the_cure() {
        let extra = parse_extra("{\"stream\": false}").unwrap();
        let spec = BodySpec { extra, ..spec(EndpointType::Chat) };
        let why = Bodies::new(&spec).err().unwrap().to_string();
        assert!(why.contains("\"stream\"") && why.contains("--no-streaming"), "{why}");
        for text in ["[1]", "{\"a\": }", "7"] {
            assert!(parse_extra(text).err().unwrap().to_string().contains("JSON object"));
        }
    }
}
