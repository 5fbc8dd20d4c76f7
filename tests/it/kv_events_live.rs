//! Against running servers, by hand: do our keys of a prompt equal those of the server's own blocks?
//!
//! Start `../shared/peers/dynamo-endpoints.sh 2`, then run
//! `cargo test --test it kv_events_live -- --ignored --nocapture`. For others, `KVROUTE_TEST_SERVERS`
//! holds `URL EVENTS [REPLAY]` per server, separated by `;`, `KVROUTE_TEST_MODEL` the model's folder,
//! `KVROUTE_TEST_NAME` its name and `KVROUTE_TEST_BLOCK` the block size.

use kvroute::live::chat_template::{ChatTemplate, GrowingPrompt, Said};
use kvroute::live::clock::Clock;
use kvroute::live::kv_events::subscriber::{Feed, Subscriber};
use kvroute::live::kv_events::tracker::{Tracker, prompt_runs};
use kvroute::live::kv_events::{Delivery, What};
use kvroute::live::tokenizer::Tokenizer;
use kvroute::router::index::PrefixIndex;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_string())
}

/// What is known of the servers.
struct Cluster {
    _subscriber: Subscriber,
    deliveries: UnboundedReceiver<Delivery>,
    trackers: Vec<Tracker>,
    index: PrefixIndex,
    block: u32,
}

impl Cluster {
    async fn follow(feeds: &[Feed], block: u32) -> Cluster {
        let (sender, deliveries) = unbounded_channel();
        let subscriber = Subscriber::start(feeds, "", &Clock::start(), &sender).await.unwrap();
        let trackers = feeds.iter().map(|_| Tracker::new(block)).collect();
        let index = PrefixIndex::default();
        Cluster { _subscriber: subscriber, deliveries, trackers, index, block }
    }

    /// Hears all there is until nothing comes for half a second.
    async fn settle(&mut self) {
        while let Ok(Some(delivery)) =
            timeout(Duration::from_millis(500), self.deliveries.recv()).await
        {
            let mut events = Vec::new();
            self.trackers[delivery.worker as usize].follow(&delivery, &mut events);
            events.iter().for_each(|event| self.index.apply(delivery.worker, event));
            if !matches!(delivery.what, What::Batch { .. }) {
                println!("worker {}: {:?}", delivery.worker, delivery.what);
            }
        }
    }

    fn overlap(&self, worker: usize, ids: &[u32]) -> u32 {
        let mut overlaps = vec![0; self.trackers.len()];
        self.index.overlaps(&prompt_runs(ids, self.block), &mut overlaps);
        overlaps[worker]
    }
}

fn chat(url: &str, messages: &[Said]) -> Value {
    let message = |(role, text): &Said| json!({"role": role, "content": text});
    let messages: Vec<Value> = messages.iter().map(message).collect();
    ask(&format!("{url}/v1/chat/completions"), json!({"messages": messages}))
}

fn ask(url: &str, mut body: Value) -> Value {
    body["model"] = json!(setting("KVROUTE_TEST_NAME", "tiny"));
    body["max_tokens"] = json!(40);
    body["ignore_eos"] = json!(true);
    let output = Command::new("curl")
        .args(["-s", "-H", "content-type: application/json", "-d", &body.to_string()])
        .arg(url)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

const OPENINGS: [&str; 3] = [
    "Tell me what a cache is, and why a router should know what is in it. Please be thorough.",
    "  \u{4e16}\u{754c} caf\u{e9} \"quoted\" <b>&amp;</b> {{ braces }} {% raw %} \\n\n\nand\tso on, for a while\n",
    "special: <|im_end|> and <|im_start|>user, in the middle of what a user says, which is rude",
];

#[tokio::test]
#[ignore = "needs running servers"]
async fn the_keys_of_our_prompts_are_those_of_the_servers_blocks() {
    let peers = PathBuf::from(std::env::var("HOME").unwrap()).join(".cache/kvroute-peers");
    let model = setting("KVROUTE_TEST_MODEL", peers.join("tinymodel").to_str().unwrap());
    let block: u32 = setting("KVROUTE_TEST_BLOCK", "16").parse().unwrap();
    let servers = setting(
        "KVROUTE_TEST_SERVERS",
        "http://127.0.0.1:8200 tcp://127.0.0.1:5600 tcp://127.0.0.1:5700;\
         http://127.0.0.1:8201 tcp://127.0.0.1:5601 tcp://127.0.0.1:5701",
    );
    let servers: Vec<Vec<&str>> =
        servers.split(';').map(|server| server.split_whitespace().collect()).collect();
    let feed = |(worker, server): (usize, &Vec<&str>)| Feed {
        worker: worker as u32,
        events: server[1].parse().unwrap(),
        replay: server.get(2).map(|replay| replay.parse().unwrap()),
    };
    let feeds: Vec<Feed> = servers.iter().enumerate().map(feed).collect();
    let tokenizer = Tokenizer::load(Some(model.as_ref())).unwrap();
    let template = ChatTemplate::load(model.as_ref(), &tokenizer).unwrap();
    let mut cluster = Cluster::follow(&feeds, block).await;
    cluster.settle().await;
    let mut prompts = Vec::new();
    for (worker, server) in servers.iter().enumerate() {
        for opening in OPENINGS {
            prompts.extend(
                talk(&mut cluster, (worker, server[0]), opening, &template, &tokenizer).await,
            );
        }
    }
    for (worker, server) in servers.iter().enumerate() {
        let ids = tokenizer.encode_prompt(OPENINGS[0]);
        let answer = ask(&format!("{}/v1/completions", server[0]), json!({"prompt": OPENINGS[0]}));
        cluster.settle().await;
        let found = cluster.overlap(worker, &ids);
        println!("worker {worker} completion: {} tokens by us, {found} blocks found", ids.len());
        assert_eq!(answer["usage"]["prompt_tokens"], json!(ids.len()), "{answer}");
        assert_eq!(found, ids.len() as u32 / block);
        prompts.push((worker, ids));
    }
    cluster.trackers.iter().for_each(|tracker| println!("{:?}", tracker.statistics()));
    // Somebody who comes late learns the same from the replay.
    if feeds.iter().all(|feed| feed.replay.is_some()) {
        let known: Vec<u32> =
            prompts.iter().map(|(worker, ids)| cluster.overlap(*worker, ids)).collect();
        drop(cluster);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut late = Cluster::follow(&feeds, block).await;
        late.settle().await;
        late.trackers.iter().for_each(|tracker| println!("late: {:?}", tracker.statistics()));
        let again = prompts.iter().map(|(worker, ids)| late.overlap(*worker, ids));
        assert_eq!(again.collect::<Vec<u32>>(), known);
    }
}

/// Four turns with a server; the token ids of their prompts.
async fn talk(
    cluster: &mut Cluster,
    (worker, url): (usize, &str),
    opening: &str,
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
) -> Vec<(usize, Vec<u32>)> {
    let mut said = vec![("user", opening.to_string())];
    let mut growing = GrowingPrompt::default();
    let mut prompts = Vec::new();
    for turn in 0..4 {
        let messages: Vec<Said> = said.iter().map(|(role, text)| (*role, text.as_str())).collect();
        let ids = growing.ids(template, tokenizer, &messages).unwrap();
        assert_eq!(ids, template.prompt_ids(tokenizer, &messages).unwrap());
        let length = ids.len() as u32;
        let predicted = cluster.overlap(worker, &ids).min((length - 1) / cluster.block);
        let answer = chat(url, &messages);
        let usage = &answer["usage"];
        let cached = &usage["prompt_tokens_details"]["cached_tokens"];
        cluster.settle().await;
        let after = cluster.overlap(worker, &ids);
        println!(
            "worker {worker} turn {turn}: {length} tokens by us, {} by the server; {} predicted, \
             {cached} cached; {after} of {} blocks found afterwards",
            usage["prompt_tokens"],
            predicted * cluster.block,
            length / cluster.block
        );
        assert_eq!(usage["prompt_tokens"], json!(length), "{answer}");
        assert_eq!(cached.as_u64().unwrap_or(0), u64::from(predicted * cluster.block));
        assert_eq!(after, length / cluster.block);
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap().to_string();
        said.extend([("assistant", text), ("user", format!("Go on, part {turn}, in more words."))]);
        prompts.push((worker, ids));
    }
    prompts
}

#[test]
#[ignore = "measures; needs the model's folder"]
fn a_growing_prompt_costs_its_new_part_only() {
    let peers = PathBuf::from(std::env::var("HOME").unwrap()).join(".cache/kvroute-peers");
    let model = setting("KVROUTE_TEST_MODEL", peers.join("vllm-small").to_str().unwrap());
    let tokenizer = Tokenizer::load(Some(model.as_ref())).unwrap();
    let template = ChatTemplate::load(model.as_ref(), &tokenizer).unwrap();
    let text =
        "the cache of a worker holds blocks that were read before and not evicted ".repeat(20);
    let clock = Clock::start();
    let mut growing = GrowingPrompt::default();
    let mut messages: Vec<Said> = vec![("user", &text)];
    for turn in 0..100 {
        let begin = clock.now();
        let whole = template.prompt_ids(&tokenizer, &messages).unwrap();
        let middle = clock.now();
        let ids = growing.ids(&template, &tokenizer, &messages).unwrap();
        let end = clock.now();
        assert_eq!(whole, ids);
        let runs = prompt_runs(&ids, 16);
        if [0, 1, 9, 29, 99].contains(&turn) {
            println!(
                "turn {turn}: {} tokens; from scratch {} us, growing {} us, {} keys {} us",
                ids.len(),
                (middle - begin).0 / 1000,
                (end - middle).0 / 1000,
                runs.len(),
                (clock.now() - end).0 / 1000,
            );
        }
        messages.extend([("assistant", text.as_str()), ("user", text.as_str())]);
    }
}
