//! The cluster that stands for the servers, and where each of its sizes comes from.

use super::super::probe::Probed;
use super::super::server::facts::WorkerFacts;
use crate::scenario::ClusterSpec;
use serde::Serialize;

/// A size of a worker, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The scenario's key, without `cluster`.
    pub key: &'static str,
    /// Its value.
    pub value: u32,
    /// Where it comes from.
    pub from: String,
}

/// Sizes of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// All of them, block size first.
    pub sizes: Vec<Taken>,
    /// What does not fit together, with the cure.
    pub doubts: Vec<String>,
}

const SCENARIO: &str = "scenario and options";

impl Cluster {
    /// From what servers tell, then what their hits show, then the scenario.
    pub fn of(scenario: &ClusterSpec, probed: &Probed) -> Cluster {
        let (page, facts) = probed.facts.clone().unwrap_or_default();
        let steps = probed.hits_in_steps_of;
        let block = match (facts.block_tokens, steps) {
            (Some(told), _) => Taken { key: "block_tokens", value: told, from: page.clone() },
            (None, Some(steps)) => Taken {
                key: "block_tokens",
                value: steps,
                from: "cached tokens of the probe".into(),
            },
            _ => taken("block_tokens", scenario.block_tokens),
        };
        let told = |key, told: Option<u32>, otherwise: u32| match told {
            Some(value) => Taken { key, value, from: page.clone() },
            None => taken(key, otherwise),
        };
        let WorkerFacts { kv_blocks, max_batched_tokens, max_seqs, .. } = facts;
        let doubts = doubts(&block, scenario.block_tokens, steps);
        let sizes = vec![
            block,
            told("kv_blocks", kv_blocks, scenario.kv_blocks.unwrap_or(u32::MAX >> 1)),
            told("max_batched_tokens", max_batched_tokens, scenario.max_batched_tokens),
            told("max_seqs", max_seqs, scenario.max_seqs),
        ];
        Cluster { sizes, doubts }
    }

    /// The size called `key`.
    pub fn size(&self, key: &str) -> Option<u32> {
        self.sizes.iter().find(|size| size.key == key).map(|size| size.value)
    }

    /// Puts the sizes into a scenario.
    pub(super) fn apply(&self, cluster: &mut ClusterSpec) {
        let set = |place: &mut u32, key| *place = self.size(key).unwrap_or(*place);
        set(&mut cluster.block_tokens, "block_tokens");
        set(&mut cluster.max_batched_tokens, "max_batched_tokens");
        set(&mut cluster.max_seqs, "max_seqs");
        cluster.kv_blocks = self.size("kv_blocks").or(cluster.kv_blocks);
    }

    /// In a line: sizes by where they come from.
    pub fn line(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut last = None;
        for size in &self.sizes {
            let text = format!("{} {}", size.key, size.value);
            match parts.last_mut().filter(|_| last == Some(&size.from)) {
                Some(part) => *part = format!("{part}, {text}"),
                None => parts.push(text),
            }
            last = Some(&size.from);
        }
        let mut froms: Vec<&String> = self.sizes.iter().map(|size| &size.from).collect();
        froms.dedup();
        let named = parts.iter().zip(froms).map(|(part, from)| format!("{part} ({from})"));
        named.collect::<Vec<_>>().join("; ")
    }
}

fn taken(key: &'static str, value: u32) -> Taken {
    Taken { key, value, from: SCENARIO.into() }
}

fn doubts(block: &Taken, scenario: u32, steps: Option<u32>) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(steps) = steps.filter(|steps| !steps.is_multiple_of(block.value)) {
        doubts.push(format!(
            "cached tokens come in multiples of {steps}, which are no blocks of {} tokens ({})",
            block.value, block.from
        ));
    }
    if block.value != scenario {
        doubts.push(format!(
            "the servers' blocks have {} tokens and the scenario's {scenario}: expected hits and kvroute's \
             own routers go by the scenario; say --block-tokens {}",
            block.value, block.value
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_believed_before_hits_and_hits_before_the_scenario() {
        let scenario = ClusterSpec { kv_blocks: Some(700), ..ClusterSpec::default() };
        let mut probed = Probed::default();
        let cluster = Cluster::of(&scenario, &probed);
        assert_eq!(cluster.size("block_tokens"), Some(16));
        assert_eq!(
            cluster.line(),
            "block_tokens 16, kv_blocks 700, max_batched_tokens 8192, max_seqs 256 (scenario and options)"
        );
        probed.hits_in_steps_of = Some(32);
        let cluster = Cluster::of(&scenario, &probed);
        assert_eq!(cluster.size("block_tokens"), Some(32));
        assert!(cluster.doubts[0].contains("--block-tokens 32"), "{:?}", cluster.doubts);
        let facts =
            WorkerFacts { block_tokens: Some(16), kv_blocks: Some(319), ..WorkerFacts::default() };
        probed.facts = Some(("http://h/metrics".into(), facts));
        let cluster = Cluster::of(&scenario, &probed);
        assert_eq!(
            (cluster.size("block_tokens"), cluster.size("kv_blocks")),
            (Some(16), Some(319))
        );
        assert!(cluster.doubts.is_empty(), "multiples of 32 may be two blocks");
        assert!(cluster.line().starts_with("block_tokens 16, kv_blocks 319 (http://h/metrics); "));
        let mut applied = scenario.clone();
        cluster.apply(&mut applied);
        assert_eq!((applied.kv_blocks, applied.max_seqs), (Some(319), 256));
    }
}
