//! Decisions as lines of `decisions.jsonl`, and as debug log lines.

use super::format::number;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// One line of `decisions.jsonl`. Workers are numbered from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Router, as the run's table calls it.
    pub router: String,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the request within its workload.
    pub request: u64,
    /// When it was decided, ms from the start of the run.
    pub time_ms: f64,
    /// Prompt length, tokens.
    pub prompt_tokens: u32,
    /// Full blocks of the prompt.
    pub prompt_blocks: u32,
    /// The chosen worker.
    pub chosen: u32,
    /// The rule that chose it, in the policy's own words: "lowest cost".
    pub reason: Cow<'static, str>,
    /// Number of equally good best candidates; 1 where there was no tie.
    pub tie: u32,
    /// Whether the lowest score is the best.
    pub lower_is_better: bool,
    /// Regret: blocks that the best worker truly held beyond those of the chosen one; `None` of a live
    /// run, where nobody knows.
    pub cost: Option<f64>,
    /// All workers that could have been chosen, by number.
    pub candidates: Vec<Candidate>,
    /// Of a live run: how the belief in the chosen worker came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveHits>,
}

/// Hits of a request that was really sent, tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveHits {
    /// What the router believed cached; `None` where it keeps no index.
    pub predicted_hit_tokens: Option<u32>,
    /// What the server found; `None` where it did not say, or the request failed.
    pub observed_hit_tokens: Option<u32>,
}

impl LiveHits {
    /// How far the belief was off.
    pub fn miss(self) -> Option<u32> {
        Some(self.predicted_hit_tokens?.abs_diff(self.observed_hit_tokens?))
    }
}

/// One worker at a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The worker, from 1.
    pub worker: u32,
    /// Leading prompt blocks the router believed it to hold; `None` where it keeps no index.
    pub believed_overlap_blocks: Option<u32>,
    /// Leading prompt blocks it truly held; `None` of a live run, where nobody knows.
    pub true_overlap_blocks: Option<u32>,
    /// Finite terms that make up the score, in the policy's order; the same names for all workers.
    pub terms: Vec<(Cow<'static, str>, f64)>,
    /// Its load in the policy's own measure, one of the terms.
    pub load: f64,
    /// The score; infinite for a worker that was ruled out.
    #[serde(deserialize_with = "infinite_if_null")]
    pub score: f64,
}

impl Candidate {
    /// Of `worker`, from 0, with these terms of its score.
    pub(super) fn new(
        (worker, believed, held): (u32, Option<u32>, Option<u32>),
        terms: &[(&'static str, f64)],
        (load, score): (f64, f64),
    ) -> Candidate {
        Candidate {
            worker: worker + 1,
            believed_overlap_blocks: believed,
            true_overlap_blocks: held,
            terms: terms.iter().map(|(name, value)| ((*name).into(), *value)).collect(),
            load,
            score,
        }
    }
}

/// JSON knows no infinity, and serde_json writes null for it.
fn infinite_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// A worker in the debug log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DebugWorker {
    /// The worker, from 1.
    pub worker: u32,
    /// Overlap the router believes in, blocks.
    pub overlap_blocks: u32,
    /// Its load term.
    pub load: f64,
    /// Its score.
    pub score: f64,
}

/// The four lines a decision prints with debug logging on; `chosen` is a worker number from 1.
pub fn debug_lines(workers: &[DebugWorker], chosen: u32, lower_is_better: bool) -> [String; 4] {
    let each = |value: &dyn Fn(&DebugWorker) -> String| {
        let pairs: Vec<String> = workers
            .iter()
            .map(|worker| format!("worker-{}: {}", worker.worker, value(worker)))
            .collect();
        pairs.join(", ")
    };
    let best = workers.iter().find(|worker| worker.worker == chosen);
    let score = best.map_or(f64::NAN, |worker| worker.score);
    let what = match lower_is_better {
        true => "lowest cost",
        false => "best score",
    };
    let overlaps = each(&|worker| format!("{} blocks", worker.overlap_blocks));
    [
        format!("DEBUG KV overlap scores: {{{overlaps}}}"),
        format!("DEBUG Load scores: {{{}}}", each(&|worker| plain(worker.load))),
        format!("DEBUG Final scores: {{{}}}", each(&|worker| plain(worker.score))),
        format!("DEBUG Selected worker-{chosen} ({what}: {})", plain(score)),
    ]
}

/// One decimal and no thousands separators: these lines are grepped.
fn plain(value: f64) -> String {
    number(value, 1).replace(',', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked_example() -> Vec<DebugWorker> {
        let workers = [(25, 0.3, 22.0), (5, 0.8, -3.0), (15, 0.5, 10.0)];
        let numbered = workers.iter().zip(1..);
        numbered
            .map(|((overlap_blocks, load, score), worker)| DebugWorker {
                worker,
                overlap_blocks: *overlap_blocks,
                load: *load,
                score: *score,
            })
            .collect()
    }

    #[test]
    fn the_worked_example_prints_as_promised() {
        assert_eq!(
            debug_lines(&worked_example(), 1, false),
            [
                "DEBUG KV overlap scores: {worker-1: 25 blocks, worker-2: 5 blocks, worker-3: 15 blocks}",
                "DEBUG Load scores: {worker-1: 0.3, worker-2: 0.8, worker-3: 0.5}",
                "DEBUG Final scores: {worker-1: 22.0, worker-2: -3.0, worker-3: 10.0}",
                "DEBUG Selected worker-1 (best score: 22.0)",
            ]
        );
    }

    #[test]
    fn a_cost_says_that_lower_wins() {
        let lines = debug_lines(&worked_example(), 1, true);
        assert_eq!(lines[3], "DEBUG Selected worker-1 (lowest cost: 22.0)");
    }

    #[test]
    fn a_line_survives_writing_and_reading() {
        let line = r#"{"router":"kv","seed":1,"request":2,"time_ms":3.5,"prompt_tokens":100,"prompt_blocks":6,"chosen":1,"reason":"lowest cost","tie":1,"lower_is_better":true,"cost":0.0,"candidates":[{"worker":1,"believed_overlap_blocks":null,"true_overlap_blocks":3,"terms":[["prefill",2.5]],"load":1.5,"score":null}]}"#;
        let live = line
            .replace("\"cost\":0.0", "\"cost\":null")
            .replace("blocks\":3", "blocks\":null")
            .replace(
                "null}]}",
                "null}],\"live\":{\"predicted_hit_tokens\":64,\"observed_hit_tokens\":null}}",
            );
        for line in [line, &live] {
            let record: DecisionRecord = serde_json::from_str(line).unwrap();
            assert_eq!(record.candidates[0].score, f64::INFINITY);
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
        }
    }
}
