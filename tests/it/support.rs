//! What several test modules share.

use kvroute::error::Result;
use kvroute::prompt::Segment;
use kvroute::request::{Request, RequestId, RequestRecord};
use kvroute::scenario::{Draft, Scenario};
use kvroute::sim::Sink;
use kvroute::units::Nanos;
use kvroute::workload::Source;
use serde::Deserialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A file of the shared data, or `None` with a loud note where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("SKIPPED: ../shared/{path} is absent, so this test has checked nothing");
    None
}

/// The lines of a JSONL recording.
pub fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Bytes that a recording holds in hex.
pub fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// One row of `docs/fidelity.md`, which `scripts/fidelity.sh` collects from the tests' output: what is
/// claimed, against what it was checked, by which test, and what was found. The same on every run.
pub fn fidelity(claim: &str, against: &str, test: &str, found: impl std::fmt::Display) {
    println!("FIDELITY\t{claim}\t{against}\t`{test}`\t{found}");
}

/// A scenario of one kind of workload, with overrides `key=value`.
pub fn scenario(workload: &str, overrides: &[&str]) -> Scenario {
    let mut draft = Draft::load(workload).unwrap();
    overrides.iter().for_each(|assignment| draft.set_text(assignment).unwrap());
    draft.finish().unwrap()
}

/// Requests from a list, in order.
pub struct ListSource(pub VecDeque<Request>);

impl Source for ListSource {
    fn next_arrival(&mut self) -> Result<Option<Nanos>> {
        Ok(self.0.front().map(|request| request.arrival))
    }

    fn take(&mut self) -> Result<Request> {
        Ok(self.0.pop_front().unwrap())
    }

    fn on_complete(&mut self, _id: RequestId, _now: Nanos) -> bool {
        false
    }
}

/// A request of `prompt` segments and `output` tokens of its own.
pub fn request(id: RequestId, arrival: Nanos, mut segments: Vec<Segment>, output: u32) -> Request {
    let prompt_tokens = segments.iter().map(|segment| segment.tokens).sum();
    segments.push(Segment { content: kvroute::prompt::mix(&[0x6f75_7470, id]), tokens: output });
    Request { id, session: id, turn: 0, arrival, segments, prompt_tokens, output_tokens: output }
}

/// Keeps every record.
#[derive(Default)]
pub struct Records(pub Vec<RequestRecord>);

impl Sink for Records {
    fn request(&mut self, record: &RequestRecord) -> Result<()> {
        self.0.push(record.clone());
        Ok(())
    }
}
