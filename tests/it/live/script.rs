//! What a server does with a request, byte by byte, and the answers of one that behaves.

use super::server::Incoming;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// One thing after the other.
#[derive(Clone, Debug, Default)]
pub struct Script(pub Vec<Step>);

#[derive(Clone, Debug)]
pub enum Step {
    Wait(Duration),
    Send(Vec<u8>),
    /// The same again and again, until the client goes away.
    Repeat(Vec<u8>),
    /// Nothing more, and the connection stays open.
    Hang,
    /// The connection is reset.
    Reset,
    /// The connection is closed.
    Close,
    /// What somebody else makes, as it comes.
    Follow(Bytes),
}

/// Bytes that come bit by bit, until nobody sends any more; they can be taken once.
pub type Bytes = Arc<Mutex<Option<UnboundedReceiver<Vec<u8>>>>>;

impl Script {
    pub fn wait(mut self, ms: u64) -> Script {
        self.0.push(Step::Wait(Duration::from_millis(ms)));
        self
    }

    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Script {
        self.0.push(Step::Send(bytes.into()));
        self
    }

    pub fn then(mut self, step: Step) -> Script {
        self.0.push(step);
        self
    }

    /// The head of a stream.
    pub fn stream() -> Script {
        Script::default().send(STREAM)
    }

    /// One event, in a chunk of its own.
    pub fn event(self, data: &Value) -> Script {
        self.send(event(data))
    }

    /// The rest of an answer: finish reason, usage, `[DONE]`, end.
    pub fn finish(self, request: &Incoming, tokens: u64) -> Script {
        self.send([&finish(request)[..], &usage(request, tokens, None), &done()].concat())
    }
}

pub const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    transfer-encoding: chunked\r\n\r\n";

/// The head of an answer that is no stream; `more` are whole lines.
pub fn json_head(status: u16, length: usize, more: &str) -> String {
    format!(
        "HTTP/1.1 {status} Somehow\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{more}\r\n"
    )
}

/// A whole answer that is no stream.
pub fn status(status: u16, more: &str) -> Script {
    let body = format!(r#"{{"error":{{"message":"told to fail with {status}"}}}}"#);
    Script::default().send(json_head(status, body.len(), more) + &body)
}

/// Bytes as a chunk of a chunked body.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub const END: &[u8] = b"0\r\n\r\n";

pub fn event(data: &Value) -> Vec<u8> {
    chunk(format!("data: {data}\n\n").as_bytes())
}

/// `[DONE]` and the end of the body.
pub fn done() -> Vec<u8> {
    [&chunk(b"data: [DONE]\n\n"), END].concat()
}

fn is_chat(request: &Incoming) -> bool {
    request.path.ends_with("chat/completions")
}

/// The event of some text.
pub fn token(request: &Incoming, text: &str) -> Value {
    if is_chat(request) {
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
    } else {
        json!({"choices": [{"index": 0, "text": text, "finish_reason": null}]})
    }
}

/// The event of any other delta of a chat.
pub fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

pub fn finish(request: &Incoming) -> Vec<u8> {
    let mut last = token(request, "");
    last["choices"][0]["finish_reason"] = "length".into();
    event(&last)
}

fn usage_value(request: &Incoming, completion: u64, cached: Option<u64>) -> Value {
    let mut usage =
        json!({"prompt_tokens": prompt_tokens(request), "completion_tokens": completion});
    if let Some(cached) = cached {
        usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
    }
    usage
}

pub fn usage(request: &Incoming, completion: u64, cached: Option<u64>) -> Vec<u8> {
    event(&json!({"choices": [], "usage": usage_value(request, completion, cached)}))
}

/// The server's own count: one for each word.
pub fn prompt_tokens(request: &Incoming) -> usize {
    texts(request).iter().map(|text| text.split_whitespace().count()).sum()
}

/// The texts of a request's prompt.
pub fn texts(request: &Incoming) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    match request.body["messages"].as_array() {
        Some(messages) => messages.iter().map(|message| text(&message["content"])).collect(),
        None => vec![text(&request.body["prompt"])],
    }
}

/// How many tokens the request asks for.
pub fn asked(request: &Incoming) -> u64 {
    request.body["max_tokens"].as_u64().unwrap()
}

/// Token number `place` of the answer to `request`.
pub fn word(request: &Incoming, place: u64) -> String {
    format!(" r{}\"t{place}", request.number)
}

/// The answer to a request as it should be, in one piece.
pub fn answer(request: &Incoming) -> Script {
    cached_answer(request, None)
}

/// The same with cached tokens in its usage.
pub fn cached_answer(request: &Incoming, cached: Option<u64>) -> Script {
    let tokens = asked(request);
    let words = (0..tokens).map(|place| word(request, place));
    if request.body["stream"] == true {
        let mut bytes = STREAM.as_bytes().to_vec();
        words.for_each(|word| bytes.extend(event(&token(request, &word))));
        bytes.extend(finish(request));
        bytes.extend(usage(request, tokens, cached));
        bytes.extend(done());
        return Script::default().send(bytes);
    }
    let text: String = words.collect();
    let choice = if is_chat(request) {
        json!({"message": {"role": "assistant", "content": text}, "finish_reason": "length"})
    } else {
        json!({"text": text, "finish_reason": "length"})
    };
    let usage = usage_value(request, tokens, cached);
    let body = json!({"choices": [choice], "usage": usage}).to_string();
    Script::default().send(json_head(200, body.len(), "") + &body)
}

/// The answer token by token: the first after `first` ms, the others `gap` ms apart.
pub fn slow_answer(request: &Incoming, first: u64, gap: u64) -> Script {
    let tokens = asked(request);
    let mut script = Script::stream().wait(first);
    for place in 0..tokens {
        if place > 0 {
            script = script.wait(gap);
        }
        script = script.event(&token(request, &word(request, place)));
    }
    script.finish(request, tokens)
}
