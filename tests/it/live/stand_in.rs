//! A stand-in for an engine: it has a tokenizer, blocks, a prefix cache, counters and KV events, and
//! lacks of these what it is told to lack.

use super::script::{Script, asked, done, event, finish, token, word};
use super::server::{Incoming, Server, Setup};
use bytes::Bytes;
use kvroute::live::chat_template::ChatTemplate;
use kvroute::live::kv_events::tracker::prompt_runs;
use kvroute::live::tokenizer::Tokenizer;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use zeromq::{PubSocket, Socket, SocketSend};

pub const TEMPLATE: &str = "{% for message in messages %}[{{ message.role }}]\n{{ message.content }}\n\
                            {% endfor %}[assistant]\n";

/// A model's folder with the embedded tokenizer.
pub fn folder(template: &str) -> TempDir {
    folder_of(include_str!("../../../src/live/tokenizer/default.json"), template)
}

/// A model's folder whose tokenizer makes a token of every byte.
pub fn folder_of_bytes() -> TempDir {
    let letters = (b'!'..=b'~').map(char::from).chain(['\u{120}', '\u{10a}']);
    let vocabulary: serde_json::Map<String, Value> =
        letters.map(String::from).zip(0u32..).map(|(text, id)| (text, id.into())).collect();
    let level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": level, "post_processor": null, "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    });
    folder_of(&tokenizer.to_string(), TEMPLATE)
}

fn folder_of(tokenizer: &str, template: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer).unwrap();
    let config = json!({"chat_template": template}).to_string();
    std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    folder
}

/// What an engine is like.
#[derive(Clone, Copy)]
pub struct Habits {
    pub block: u32,
    /// Usage says how many tokens were cached.
    pub details: bool,
    /// Prefixes are cached.
    pub caching: bool,
    /// It has a page of metrics.
    pub metrics: bool,
    /// The page shows the configuration of the cache.
    pub config: bool,
    /// It refuses requests with `ignore_eos`.
    pub strict: bool,
    /// It refuses longer prompts, tokens.
    pub longest: usize,
    /// Everything is sent at once.
    pub hasty: bool,
    /// Prompt tokens that somebody else has looked up with each of our requests.
    pub others: u64,
}

pub const HEALTHY: Habits = Habits {
    block: 16,
    details: true,
    caching: true,
    metrics: true,
    config: true,
    strict: false,
    longest: usize::MAX,
    hasty: false,
    others: 0,
};

/// The engine. Shared by its server's threads.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    habits: Habits,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    state: Mutex<State>,
    publisher: Option<Publisher>,
}

#[derive(Default)]
struct State {
    blocks: HashSet<u64>,
    queries: u64,
    hits: u64,
}

impl Engine {
    /// Of the model in `folder`.
    pub fn new(habits: Habits, folder: &Path, publisher: Option<Publisher>) -> Engine {
        let tokenizer = Tokenizer::load(Some(folder)).unwrap();
        let template = ChatTemplate::load(folder, &tokenizer).unwrap();
        let state = Mutex::default();
        Engine(Arc::new(Inner { habits, tokenizer, template, state, publisher }))
    }

    /// A server with this engine alone.
    pub fn serve(&self) -> Server {
        let (engine, pages) = (self.clone(), self.clone());
        let page = move |path: &str| match path {
            "/metrics" => pages.page(),
            _ => models(path),
        };
        Server::with(Setup { pages: Box::new(page), ..Setup::default() }, move |request| {
            engine.answer(request)
        })
    }

    /// Its page of metrics, where it has one.
    pub fn page(&self) -> Option<String> {
        let Inner { habits, state, .. } = &*self.0;
        let State { queries, hits, .. } = *state.lock().unwrap();
        let caching = if habits.caching { "True" } else { "False" };
        let config = format!(
            "vllm:cache_config_info{{block_size=\"{}\",enable_prefix_caching=\"{caching}\"}} 1.0\n",
            habits.block
        );
        habits.metrics.then(|| {
            format!(
                "vllm:prefix_cache_queries_total {queries}\nvllm:prefix_cache_hits_total {hits}\n\
                 vllm:num_requests_running 0\n{}",
                if habits.config { &config } else { "" }
            )
        })
    }

    pub fn answer(&self, request: &Incoming) -> Script {
        let habits = self.0.habits;
        if habits.strict && request.body["ignore_eos"] == true {
            return super::script::status(400, "");
        }
        let ids = self.ids(request);
        if ids.len() > habits.longest {
            return super::script::status(400, "");
        }
        let cached = self.look_up(&ids);
        let mut usage = json!({"prompt_tokens": ids.len(), "completion_tokens": asked(request)});
        if habits.details {
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
        }
        let usage = event(&json!({"choices": [], "usage": usage}));
        let end = [finish(request), usage, done()].concat();
        let tokens = (0..asked(request)).map(|place| token(request, &word(request, place)));
        let script = Script::stream().wait(2);
        if habits.hasty {
            return script.send([tokens.flat_map(|one| event(&one)).collect(), end].concat());
        }
        tokens.fold(script, |script, one| script.event(&one).wait(2)).send(end)
    }

    fn ids(&self, request: &Incoming) -> Vec<u32> {
        let messages = request.body["messages"].as_array().unwrap().iter();
        let said: Vec<(&str, &str)> = messages
            .map(|one| (one["role"].as_str().unwrap(), one["content"].as_str().unwrap()))
            .collect();
        self.0.template.prompt_ids(&self.0.tokenizer, &said).unwrap()
    }

    /// Tokens of the prompt that were cached; afterwards all of its blocks are, and are told of.
    fn look_up(&self, ids: &[u32]) -> u64 {
        let Inner { habits, state, publisher, .. } = &*self.0;
        let block = habits.block as usize;
        let mut state = state.lock().unwrap();
        state.queries += ids.len() as u64 + habits.others;
        if !habits.caching {
            return 0;
        }
        let keys: Vec<u64> = prompt_runs(ids, habits.block).iter().map(|run| run.content).collect();
        let known = keys.iter().take_while(|key| state.blocks.contains(key)).count();
        let cached = (known.min((ids.len() - 1) / block) * block) as u64;
        state.hits += cached;
        if let (Some(publisher), true) = (publisher, known < keys.len()) {
            publisher.send(json!([now(), [{
                "type": "BlockStored",
                "block_hashes": keys[known..],
                "parent_block_hash": known.checked_sub(1).map(|last| keys[last]),
                "token_ids": ids[known * block..keys.len() * block],
                "block_size": block,
                "lora_id": null,
                "medium": "GPU",
            }], 0]));
        }
        state.blocks.extend(keys);
        cached
    }
}

/// A server that deals requests to `engines` as `chooses` says by a request's number. Their pages are
/// below `/metrics/`.
pub fn front_end(engines: Vec<Engine>, chooses: fn(u64) -> u64) -> Server {
    let pages = engines.clone();
    let page = move |path: &str| match path.strip_prefix("/metrics/") {
        Some(number) => pages[number.parse::<usize>().unwrap()].page(),
        None => models(path),
    };
    Server::with(Setup { pages: Box::new(page), ..Setup::default() }, move |request| {
        engines[chooses(request.number) as usize % engines.len()].answer(request)
    })
}

fn models(path: &str) -> Option<String> {
    (path == "/v1/models").then(|| r#"{"data":[{"id":"stand-in"}]}"#.into())
}

#[expect(clippy::disallowed_methods, reason = "publishers say when they made a message")]
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A ZMQ publisher that binds.
pub struct Publisher {
    messages: UnboundedSender<Value>,
    pub endpoint: String,
}

impl Publisher {
    pub fn bind() -> Publisher {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (mut socket, bound) = runtime.block_on(async {
            let mut socket = PubSocket::new();
            let bound = socket.bind("tcp://127.0.0.1:0").await.unwrap();
            (socket, bound)
        });
        let zeromq::Endpoint::Tcp(_, port) = bound else { panic!("{bound}") };
        let (messages, mut received) = unbounded_channel::<Value>();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let mut number = 0u64;
                // Ends when the engine is dropped.
                while let Some(payload) = received.recv().await {
                    let payload = rmp_serde::to_vec(&payload).unwrap();
                    let sequence = number.to_be_bytes().to_vec();
                    number += 1;
                    let frames = [b"kv-events".to_vec(), sequence, payload].map(Bytes::from);
                    socket.send(frames.to_vec().try_into().unwrap()).await.unwrap();
                }
            });
        });
        Publisher { messages, endpoint: format!("tcp://127.0.0.1:{port}") }
    }

    fn send(&self, payload: Value) {
        self.messages.send(payload).unwrap();
    }
}
