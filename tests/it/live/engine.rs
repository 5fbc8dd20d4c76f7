//! A worker with a known law: steps whose times are exactly linear, a prefix cache of so many blocks, and
//! a chat template of its own. Written apart from the simulator, which is to find all of that out.
//!
//! A word is a token. Each token of the template is a word of its own.

use super::script::{Script, Step, done, event, finish, json_head, token, word};
use super::server::{Incoming, Server, Setup};
use serde_json::json;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// Times are milliseconds.
#[derive(Clone, Copy)]
pub struct Law {
    pub step: f64,
    pub prefill_step: f64,
    pub prefill_token: f64,
    pub decode_seq: f64,
    /// From the arrival of a request to the engine; holds up nobody else.
    pub front: f64,
    pub block: usize,
    pub blocks: usize,
    /// Token budget of a step.
    pub budget: usize,
    /// The page of metrics tells the blocks.
    pub tells_blocks: bool,
}

/// What the engine is told.
enum Message {
    Job(Box<Job>),
    /// Its cache is emptied.
    Reset,
}

/// A request in the engine.
struct Job {
    due: Instant,
    request: Incoming,
    tokens: Vec<String>,
    prompt: usize,
    output: usize,
    cached: usize,
    computed: usize,
    to: UnboundedSender<Vec<u8>>,
}

/// A server at `address` of the loopback network with one worker.
pub fn serve(address: [u8; 4], law: Law) -> Server {
    let (jobs, queue) = channel::<Message>();
    std::thread::spawn(move || Engine::new(law).run(&queue));
    let page = format!(
        "vllm:cache_config_info{{block_size=\"{}\",num_gpu_blocks=\"{}\"}} 1\n",
        law.block,
        law.blocks + 1
    );
    let pages = move |path: &str| (path == "/metrics" && law.tells_blocks).then(|| page.clone());
    let setup = Setup { address: address.into(), pages: Box::new(pages), ..Setup::default() };
    let jobs = Mutex::new(jobs);
    Server::with(setup, move |request| answer(request, law, &jobs.lock().unwrap()))
}

fn answer(request: &Incoming, law: Law, jobs: &Sender<Message>) -> Script {
    if request.path == "/reset_prefix_cache" {
        jobs.send(Message::Reset).unwrap();
        return Script::default().send(json_head(200, 0, ""));
    }
    let (to, from) = unbounded_channel();
    let tokens = tokens(request);
    let job = Job {
        due: Instant::now() + ms(law.front),
        prompt: tokens.len(),
        tokens,
        output: super::script::asked(request) as usize,
        cached: 0,
        computed: 0,
        request: request.clone(),
        to,
    };
    jobs.send(Message::Job(Box::new(job))).unwrap();
    Script::stream().then(Step::Follow(Arc::new(Mutex::new(Some(from)))))
}

/// Three tokens before each message, two after it, and three that open the answer.
fn tokens(request: &Incoming) -> Vec<String> {
    let mut tokens = Vec::new();
    let mark = |tokens: &mut Vec<String>, name: &str, count: usize| {
        tokens.extend((0..count).map(|place| format!("<{name}{place}>")));
    };
    for message in request.body["messages"].as_array().unwrap() {
        mark(&mut tokens, message["role"].as_str().unwrap(), 3);
        tokens.extend(message["content"].as_str().unwrap().split_whitespace().map(String::from));
        mark(&mut tokens, "end", 2);
    }
    mark(&mut tokens, "assistant", 3);
    tokens
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1e3)
}

struct Engine {
    law: Law,
    waiting: Vec<Job>,
    running: Vec<Job>,
    /// Chained hash of a block, and when it was last used.
    cache: HashMap<u64, u64>,
    uses: u64,
}

impl Engine {
    fn new(law: Law) -> Engine {
        Engine { law, waiting: Vec::new(), running: Vec::new(), cache: HashMap::new(), uses: 0 }
    }

    /// Until nobody can send any more.
    fn run(mut self, queue: &Receiver<Message>) {
        let mut end = Instant::now();
        loop {
            queue.try_iter().for_each(|message| self.hear(message));
            let now = Instant::now();
            let due = |job: &Job| job.due <= now;
            if self.running.is_empty() && !self.waiting.iter().any(due) {
                let next = self.waiting.iter().map(|job| job.due).min();
                let wait = next.map_or(Duration::from_millis(50), |next| next - now);
                match queue.recv_timeout(wait) {
                    Ok(message) => self.hear(message),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) if self.waiting.is_empty() => return,
                    Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
                }
                end = Instant::now();
                continue;
            }
            let (scheduled, time) = self.schedule(now);
            // From the end of the last step, so that our own delays do not add up.
            end = end.max(now - ms(2.0)) + time;
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
            self.finish(&scheduled);
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Job(job) => self.waiting.push(*job),
            Message::Reset => self.cache.clear(),
        }
    }

    /// Tokens of each running request in the step, and what it takes.
    fn schedule(&mut self, now: Instant) -> (Vec<usize>, Duration) {
        let mut left = self.law.budget;
        let mut scheduled = Vec::new();
        for job in &self.running {
            let new = (job.tokens.len() - job.computed).min(left);
            left -= new;
            scheduled.push(new);
        }
        while left > 0 {
            let Some(place) = self.waiting.iter().position(|job| job.due <= now) else { break };
            let mut job = self.waiting.remove(place);
            job.cached = self.hit(&job.tokens);
            job.computed = job.cached;
            let new = (job.tokens.len() - job.computed).min(left);
            left -= new;
            scheduled.push(new);
            self.running.push(job);
        }
        let (mut prefill, mut decode) = (0, 0);
        for (place, new) in scheduled.iter().enumerate() {
            let job = &self.running[place];
            let decodes = job.tokens.len() > job.prompt && *new == 1;
            if decodes {
                decode += 1
            } else {
                prefill += new
            }
            let known = job.tokens[..job.computed + new].to_vec();
            self.store(&known);
        }
        let law = self.law;
        let mut time = law.step + law.decode_seq * f64::from(decode);
        if prefill > 0 {
            time += law.prefill_step + law.prefill_token * prefill as f64;
        }
        (scheduled, ms(time))
    }

    fn finish(&mut self, scheduled: &[usize]) {
        let jobs: Vec<Job> = self.running.drain(..).collect();
        for (mut job, new) in jobs.into_iter().zip(scheduled) {
            job.computed += new;
            if job.computed < job.tokens.len() {
                self.running.push(job);
                continue;
            }
            let made = job.tokens.len() - job.prompt;
            let text = word(&job.request, made as u64);
            drop(job.to.send(event(&token(&job.request, &text))));
            job.tokens.push(text.trim().into());
            if made + 1 < job.output {
                self.running.push(job);
                continue;
            }
            let usage = json!({"choices": [], "usage": {
                "prompt_tokens": job.prompt, "completion_tokens": job.output,
                "prompt_tokens_details": {"cached_tokens": job.cached}}});
            let end = [&finish(&job.request)[..], &event(&usage), &done()].concat();
            drop(job.to.send(end));
        }
    }

    fn blocks(&self, tokens: &[String]) -> Vec<u64> {
        let mut parent = 0u64;
        let chained = tokens.chunks_exact(self.law.block).map(|block| {
            let mut hasher = DefaultHasher::new();
            (parent, block).hash(&mut hasher);
            parent = hasher.finish();
            parent
        });
        chained.collect()
    }

    /// Cached tokens; the last one of a prompt is always computed.
    fn hit(&self, tokens: &[String]) -> usize {
        let most = (tokens.len() - 1) / self.law.block;
        let held = self.blocks(tokens).into_iter().take(most);
        held.take_while(|block| self.cache.contains_key(block)).count() * self.law.block
    }

    /// The last of a prompt's blocks goes first where room is needed.
    fn store(&mut self, tokens: &[String]) {
        for block in self.blocks(tokens).into_iter().rev() {
            self.uses += 1;
            self.cache.insert(block, self.uses);
        }
        while self.cache.len() > self.law.blocks {
            let oldest = *self.cache.iter().min_by_key(|(_, used)| **used).unwrap().0;
            self.cache.remove(&oldest);
        }
    }
}
