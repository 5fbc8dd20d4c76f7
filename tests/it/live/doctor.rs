//! `kvroute live doctor` against set-ups with one thing wrong: it names that, and nothing else.

use super::program;
use super::script::status;
use super::server::Server;
use super::stand_in::{Engine, HEALTHY, Habits, Publisher, TEMPLATE, folder, front_end};
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;

/// What the doctor said.
pub struct Examined {
    pub code: i32,
    pub whole: Value,
}

/// Examines with words and more options.
pub fn examine(words: &str, more: &[&str]) -> Examined {
    let place = tempfile::tempdir().unwrap();
    let output = program(&place)
        .args(["doctor", "--json"])
        .args(words.split_whitespace())
        .args(more)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let whole = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{stderr}"));
    assert!(crate::program::files(place.path()).is_empty(), "it leaves files");
    Examined { code: output.status.code().unwrap(), whole }
}

impl Examined {
    pub fn of(&self, status: &str) -> Vec<&str> {
        let findings = self.whole["findings"].as_array().unwrap().iter();
        let of_status = findings.filter(|finding| finding["status"] == status);
        of_status.map(|finding| finding["check"].as_str().unwrap()).collect()
    }

    /// Exactly these checks failed, and its exit code says so.
    pub fn failed(&self, checks: &[&str]) -> &Examined {
        assert_eq!(self.of("fail"), checks, "{:#}", self.whole);
        assert_eq!(self.code, i32::from(!checks.is_empty()));
        assert_eq!(self.whole["failed"], checks.len());
        self
    }

    /// Exactly these have warnings; how busy this machine is is no matter.
    pub fn warned(&self, checks: &[&str]) -> &Examined {
        let mut warned = self.of("warn");
        warned.retain(|check| !["client", "clock"].contains(check));
        assert_eq!(warned, checks, "{:#}", self.whole);
        self
    }

    /// The only finding of a check: its status, and all it says.
    fn finding(&self, check: &str) -> (&str, String) {
        let findings = self.whole["findings"].as_array().unwrap();
        let mut of_check = findings.iter().filter(|finding| finding["check"] == check);
        let found = of_check.next().unwrap_or_else(|| panic!("no {check} in {:#}", self.whole));
        assert!(of_check.next().is_none(), "several of {check}: {:#}", self.whole);
        let text = |key: &str| found[key].as_str().unwrap_or("").to_string();
        let said = format!("{}\n{}\n{}", text("seen"), text("cause"), text("cure"));
        (found["status"].as_str().unwrap(), said)
    }

    /// That a check has this status and says all of `parts`.
    pub fn says(&self, check: &str, status: &str, parts: &[&str]) -> &Examined {
        let (found, said) = self.finding(check);
        assert_eq!(found, status, "{check}: {said}");
        for part in parts {
            assert!(said.contains(part), "{check}: no \"{part}\" in {said}");
        }
        self
    }
}

fn engine(habits: Habits) -> Server {
    Engine::new(habits, folder(TEMPLATE).path(), None).serve()
}

fn url(server: &Server) -> String {
    format!("--url={}", server.url())
}

pub fn tokenizer(folder: &TempDir) -> String {
    format!("--tokenizer={}", folder.path().display())
}

/// A server with KV events, and the options that name them.
pub fn with_events(habits: Habits, model: &Path) -> (Server, [String; 2]) {
    let publisher = Publisher::bind();
    let events = format!("--kv-events-endpoint={}", publisher.endpoint);
    let server = Engine::new(habits, model, Some(publisher)).serve();
    let worker = format!("--worker={}", server.url());
    (server, [worker, events])
}

/// An address of the loopback network at which nobody listens while the listener lives, which listens
/// elsewhere.
pub fn closed() -> (TcpListener, String) {
    let taken = TcpListener::bind("127.0.0.13:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    (taken, format!("127.0.0.14:{port}"))
}

#[test]
fn a_healthy_set_up_is_said_to_be_healthy() {
    let folder = folder(TEMPLATE);
    let (_server, [worker, events]) = with_events(HEALTHY, folder.path());
    let examined = examine("", &[&worker, &events, &tokenizer(&folder)]);
    examined.failed(&[]).warned(&[]);
    let passed = [
        "endpoint",
        "streaming",
        "output-length",
        "usage-details",
        "prefix-cache",
        "tokenizer",
        "block-size",
        "workload",
        "kv-events",
        "kv-blocks",
        "metrics",
        "other-traffic",
    ];
    let found = examined.of("pass");
    assert!(passed.iter().all(|check| found.contains(check)), "{:#}", examined.whole);
    assert_eq!(examined.of("skip"), ["distinct", "spread"]);
    examined.says("kv-blocks", "pass", &["full blocks of a prompt are those we expect"]);
    examined.says("tokenizer", "pass", &["as we count"]);
}

#[test]
fn a_line_tells_of_each_check_and_the_last_of_all() {
    let server = engine(HEALTHY);
    let place = tempfile::tempdir().unwrap();
    let output = program(&place).args(["doctor", &url(&server)]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("\nok    prefix-cache   "), "{text}");
    assert!(text.contains("\nskip  kv-events      no --kv-events-endpoint was given\n"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("0 failed, ") && last.ends_with(" skipped"), "{text}");
    assert!(text.contains(&format!("({})", server.url())), "{text}");
}

#[test]
fn usage_details_that_are_off() {
    let server = engine(Habits { details: false, ..HEALTHY });
    let examined = examine("", &[&url(&server)]);
    examined.failed(&["usage-details"]).warned(&[]).says(
        "usage-details",
        "fail",
        &["while the server counted", "--enable-prompt-tokens-details", "--enable-cache-report"],
    );
    // The counters know better.
    examined.says("prefix-cache", "pass", &["by the server's counters"]);

    let server = engine(Habits { details: false, metrics: false, ..HEALTHY });
    let examined = examine("", &[&url(&server)]);
    examined.failed(&["usage-details"]).warned(&["metrics"]);
    examined.says("usage-details", "fail", &["or nothing was cached"]);
    examined.says("prefix-cache", "skip", &["neither answers nor metrics"]);
}

#[test]
fn prefix_caching_that_is_off() {
    let server = engine(Habits { caching: false, ..HEALTHY });
    let cures = ["prefix caching is off", "--enable-prefix-caching", "--disable-radix-cache"];
    let examined = examine("", &[&url(&server)]);
    examined.failed(&["prefix-cache"]).warned(&[]);
    examined.says("prefix-cache", "fail", &cures);
    examined.says("prefix-cache", "fail", &["enable_prefix_caching=\"False\""]);

    // Nothing says so: a prompt is not found when it is sent again.
    let server = engine(Habits { caching: false, metrics: false, ..HEALTHY });
    let examined = examine("--no-server-metrics", &[&url(&server)]);
    examined.failed(&["prefix-cache"]).warned(&[]);
    examined.says("prefix-cache", "fail", &cures);
    examined.says("prefix-cache", "fail", &["sent 9 times was never found"]);

    // Silence about details may follow from it, so that is no failure of its own.
    let server = engine(Habits { caching: false, details: false, config: false, ..HEALTHY });
    let examined = examine("", &[&url(&server)]);
    examined.failed(&["prefix-cache"]).warned(&["usage-details"]);
    examined.says("usage-details", "warn", &["see to the prefix cache first"]);
}

#[test]
fn prompts_shorter_than_a_block() {
    let server = engine(Habits { block: 256, ..HEALTHY });
    let words = "diverse --isl 200 --osl 4 --num-requests 40 --block-tokens 256";
    let examined = examine(words, &[&url(&server)]);
    examined.failed(&["workload"]).warned(&[]).says(
        "workload",
        "fail",
        &["prompts are shorter than a block", "a block has 256", "--isl", "--block-size"],
    );
    // Whatever it was told, the servers know the size of their blocks.
    let examined = examine("diverse --isl 200 --num-requests 40", &[&url(&server)]);
    examined.failed(&["workload"]).warned(&["block-size"]);
    examined.says("block-size", "warn", &["256 tokens", "give --block-tokens 256"]);
}

#[test]
fn metrics_that_cannot_be_reached() {
    let (_taken, address) = closed();
    let server = engine(HEALTHY);
    let metrics = format!("--metrics-url=http://{address}/metrics");
    let examined = examine("", &[&url(&server), &metrics]);
    examined.failed(&["metrics"]).warned(&[]);
    examined.says("metrics", "fail", &["refused", "--metrics-url", "--enable-metrics"]);
    examined.says("prefix-cache", "pass", &["came from the cache"]);

    let unknown = "--metrics-url=http://no-such-host.invalid/metrics";
    let examined = examine("", &[&url(&server), unknown]);
    examined.failed(&["metrics"]).says("metrics", "fail", &["no-such-host.invalid is not known"]);

    // With the details off as well, nobody can tell whether anything is cached, and nobody says so.
    let server = engine(Habits { details: false, ..HEALTHY });
    let examined = examine("", &[&url(&server), &metrics]);
    examined.failed(&["usage-details", "metrics"]).warned(&[]);
    examined.says("prefix-cache", "skip", &["neither answers nor metrics"]);
}

#[test]
fn a_block_size_that_is_not_the_servers() {
    let folder = folder(TEMPLATE);
    let (_server, [worker, events]) = with_events(Habits { block: 32, ..HEALTHY }, folder.path());
    let examined = examine("--block-tokens 16", &[&worker, &events, &tokenizer(&folder)]);
    examined.failed(&["block-size"]).warned(&[]);
    examined.says("block-size", "fail", &["32 tokens, and 16", "give --block-tokens 32"]);

    // Nobody tells, but what is cached comes in blocks.
    let server = engine(Habits { block: 24, metrics: false, ..HEALTHY });
    let examined = examine("--block-tokens 16 --no-server-metrics", &[&url(&server)]);
    examined.failed(&["block-size"]).warned(&[]);
    examined.says("block-size", "fail", &["not in multiples of 16", "some divisor of"]);
}

/// A front end over three workers, and the options that name it and their pages.
fn front(chooses: fn(u64) -> u64) -> (Server, Vec<String>) {
    let folder = folder(TEMPLATE);
    let engines = (0..3).map(|_| Engine::new(HEALTHY, folder.path(), None)).collect();
    let server = front_end(engines, chooses);
    let mut options = vec![url(&server)];
    options.extend((0..3).map(|page| format!("--metrics-url={}/metrics/{page}", server.url())));
    (server, options)
}

fn words(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

#[test]
fn all_traffic_to_one_of_several_workers() {
    let (_server, options) = front(|_| 1);
    let examined = examine("", &words(&options));
    examined.failed(&["spread"]).says(
        "spread",
        "fail",
        &["all of 24", "one of 3 workers", "/metrics/1", "registered", "--connection per-request"],
    );
}

#[test]
fn a_front_end_that_takes_turns_is_no_kv_router() {
    let (_server, options) = front(|number| number);
    let examined = examine("", &words(&options));
    examined.failed(&[]).warned(&["repeats"]);
    examined.says("spread", "pass", &["went to all 3 workers"]);
    examined.says("repeats", "warn", &["round-robin", "--router-mode kv"]);
}

#[test]
fn two_workers_that_are_one() {
    let server = engine(HEALTHY);
    let worker = format!("--worker={}", server.url());
    let again = format!("--worker=http://localhost:{}", server.port());
    let examined = examine("--no-server-metrics", &[&worker, &again]);
    examined.failed(&["distinct"]).says("distinct", "fail", &["both are one server"]);
    let other = engine(HEALTHY);
    let examined = examine("", &[&worker, &format!("--worker={}", other.url())]);
    examined.failed(&[]).warned(&[]).says("distinct", "pass", &["no worker of 2"]);
}

#[test]
fn a_server_that_is_down_or_is_no_server() {
    let (_taken, address) = closed();
    let examined = examine("", &[&format!("--url=http://{address}")]);
    examined.failed(&["endpoint"]).warned(&[]);
    examined.says("endpoint", "fail", &["refused", "nothing listens there", "start the server"]);
    let examined = examine("", &["--url=http://no-such-host.invalid"]);
    examined.failed(&["endpoint"]).says("endpoint", "fail", &["is not known", "spelling"]);
    for (code, parts) in
        [(401, ["wants a key", "--api-key"]), (404, ["no such path", "--endpoint-type"])]
    {
        let server = Server::start(move |_| status(code, ""));
        let examined = examine("--model m", &[&url(&server)]);
        examined.failed(&["endpoint"]).says("endpoint", "fail", &parts);
    }
}

#[test]
fn servers_with_habits_of_their_own() {
    let server = engine(Habits { strict: true, ..HEALTHY });
    let examined = examine("", &[&url(&server)]);
    examined.failed(&[]).warned(&["output-length"]);
    examined.says("output-length", "warn", &["told to fail with 400", "--no-ignore-eos"]);

    let server = engine(Habits { longest: 500, ..HEALTHY });
    let examined = examine("", &[&url(&server)]);
    examined.failed(&[]).warned(&["endpoint"]);
    examined.says("endpoint", "warn", &["a prompt of 600 tokens", "--max-model-len", "--isl"]);

    let server = engine(Habits { hasty: true, ..HEALTHY });
    let examined = examine("", &[&url(&server)]);
    examined.failed(&[]).warned(&["streaming"]);
    examined.says("streaming", "warn", &["arrived at once", "proxy_buffering off"]);

    let server = engine(Habits { others: 500, ..HEALTHY });
    let examined = examine("", &[&url(&server)]);
    examined.failed(&[]).warned(&["other-traffic"]);
    examined.says("other-traffic", "warn", &["somebody else uses the servers"]);
}

#[test]
fn bad_usage_is_refused_before_anything_is_sent() {
    let server = engine(HEALTHY);
    let url = url(&server);
    let cases: &[&[&str]] = &[
        &[],
        &[&url, "--header=no colon"],
        &[&url, "--tokenizer=nowhere"],
        &[&url, "--kv-events-endpoint=127.0.0.1:5557"],
        &["--worker=http://h", "--kv-events-endpoint=tcp://h:1", "--kv-events-endpoint=tcp://h:2"],
        &[&url, "--kv-events-endpoint=tcp://h:1", "--kv-replay-endpoint=bind:tcp://127.0.0.1:0"],
        &[&url, "no-such-workload"],
        &[&url, "--arm=a=http://h"],
    ];
    for options in cases {
        let place = tempfile::tempdir().unwrap();
        let output = program(&place).arg("doctor").args(*options).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {stderr}");
    }
    assert_eq!(server.count(), 0);
}
