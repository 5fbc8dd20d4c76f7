//! The claims, where each is measured, and what round robin can carry there.
//!
//! `capacity` is round robin's, in starts per second, without overload, as measured by
//! `kvroute capacity workloads/claims/FILE --router-mode round-robin` with the setting's own overrides;
//! a test measures again on both sides of it. The load is a share of it.

use crate::error::Result;
use crate::scenario::Draft;

/// What people are promised.
#[derive(Debug)]
pub struct Claim {
    /// The promise, in a sentence.
    pub text: &'static str,
    /// What exactly is measured.
    pub measure: Measure,
    /// The number promised, in the measure's unit.
    pub promise: Promise,
    /// Where it is measured; the first is the scenario file as it stands.
    pub settings: &'static [Setting],
}

/// A number promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Promise {
    /// From, to. More than this is no less than what was promised.
    Between(f64, f64),
    /// No more than this.
    AtMost(f64),
}

/// What is measured, over requests in steady state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Hit tokens / prompt tokens under `kv`, percent.
    HitRate,
    /// The same over turns after the first.
    FollowUpHitRate,
    /// By how much the mean TTFT is lower than under round robin, percent.
    Ttft,
    /// By how much the highest rate within the scenario's `slo` (p99) is higher, percent.
    Capacity,
    /// (Most busy − least busy worker) / mean under `kv`, percent.
    BusySpread,
    /// Requests in flight on the fullest worker / mean over workers under `kv`; and no worker may be
    /// overloaded.
    HotSpot,
}

/// A scenario, and its load.
#[derive(Debug)]
pub struct Setting {
    /// What is special about it, to be read behind "holds only when".
    pub when: &'static str,
    /// Name of the file in `workloads/claims`.
    pub file: &'static str,
    /// The file.
    pub text: &'static str,
    /// Changes to it, `key=value`.
    pub overrides: &'static [&'static str],
    /// Round robin's measured capacity here, starts per second.
    pub capacity: f64,
    /// Share of it that is offered.
    pub load: f64,
}

impl Setting {
    /// Starts per second.
    pub fn rate(&self) -> f64 {
        self.capacity * self.load
    }

    /// The scenario with its overrides and its load.
    ///
    /// # Errors
    /// Where the file is no TOML or an override names no section.
    pub fn draft(&self) -> Result<Draft> {
        let mut draft = Draft::parse(self.text, &format!("workloads/claims/{}", self.file))?;
        self.overrides.iter().try_for_each(|change| draft.set_text(change))?;
        draft.set_text(&format!("workload.arrival.rate={}", self.rate()))?;
        Ok(draft)
    }
}

/// A setting of one of the files.
macro_rules! setting {
    ($file:literal, $when:literal, $overrides:expr, $capacity:literal, $load:literal) => {
        Setting {
            when: $when,
            file: $file,
            text: include_str!(concat!("../../workloads/claims/", $file)),
            overrides: $overrides,
            capacity: $capacity,
            load: $load,
        }
    };
}

/// All of them.
pub const CLAIMS: &[Claim] = &[
    Claim {
        text: "shared system prompts: 60–80 % hit rate",
        measure: Measure::HitRate,
        promise: Promise::Between(60.0, 80.0),
        settings: &[
            setting!(
                "system-prompts.toml",
                "the system prompt is most of the prompt (6,000 of 7,200 tokens)",
                &[],
                13.1,
                0.8
            ),
            setting!(
                "system-prompts.toml",
                "the system prompt is a quarter of the prompt (2,548 of 9,800 tokens)",
                &[
                    "workload.shared_prefix.prefix={law=\"constant\", value=2548}",
                    "workload.shared_prefix.question={law=\"constant\", value=7252}",
                    "workload.shared_prefix.output={law=\"constant\", value=430}",
                ],
                16.6,
                0.8
            ),
        ],
    },
    Claim {
        text: "follow-up turns of conversations: 70–90 % hit rate",
        measure: Measure::FollowUpHitRate,
        promise: Promise::Between(70.0, 90.0),
        settings: &[
            setting!(
                "follow-up-turns.toml",
                "the conversations in progress exceed all caches (80 % of round robin's capacity)",
                &[],
                11.9,
                0.8
            ),
            setting!(
                "follow-up-turns.toml",
                "conversations fit easily (20 % of that capacity) and turns add little (about 240 tokens)",
                &["workload.requests=24000"],
                11.9,
                0.2
            ),
            setting!(
                "follow-up-turns.toml",
                "conversations fit easily (15 %) and turns bring as much as Azure's mean prompt (1,155 tokens)",
                &[
                    "workload.requests=9000",
                    "workload.multi_turn.first={law=\"lognormal\", mean=1155, cv=0.96, max=14050}",
                    "workload.multi_turn.follow_up={law=\"lognormal\", mean=1155, cv=0.96, max=14050}",
                    "workload.multi_turn.output={law=\"lognormal\", mean=211, cv=0.77, max=1000}",
                ],
                3.2,
                0.15
            ),
        ],
    },
    Claim {
        text: "similar queries: 40–60 % hit rate",
        measure: Measure::HitRate,
        promise: Promise::Between(40.0, 60.0),
        settings: &[
            setting!(
                "similar-queries.toml",
                "prompts differ after a quarter, at 80 % of round robin's capacity",
                &[],
                16.6,
                0.8
            ),
            setting!(
                "similar-queries.toml",
                "prompts differ only after half, at 80 % of round robin's capacity",
                &["workload.similar.differs_at=0.5"],
                17.3,
                0.8
            ),
            setting!(
                "similar-queries.toml",
                "prompts differ only after half, and all kinds fit into every worker's cache (10 of them)",
                &["workload.similar.differs_at=0.5", "workload.similar.families=10"],
                22.2,
                0.8
            ),
            setting!(
                "similar-queries.toml",
                "prompts differ in their first tokens (a date, a name)",
                &["workload.similar.differs_at=0"],
                16.3,
                0.8
            ),
        ],
    },
    Claim {
        text: "TTFT 30–70 % lower at high overlap",
        measure: Measure::Ttft,
        promise: Promise::Between(30.0, 70.0),
        settings: &[
            setting!(
                "ttft-high-overlap.toml",
                "the system prompts exceed one worker's cache, at 80 % of round robin's capacity",
                &[],
                13.1,
                0.8
            ),
            setting!(
                "ttft-high-overlap.toml",
                "the prompts exceed one worker's cache, at 40 % of that capacity",
                &[],
                13.1,
                0.4
            ),
            setting!(
                "ttft-high-overlap.toml",
                "the system prompts fit into every worker's cache (10 of them)",
                &["workload.shared_prefix.prefixes=10"],
                19.9,
                0.8
            ),
        ],
    },
    Claim {
        text: "throughput 20–40 % higher on reusable patterns",
        measure: Measure::Capacity,
        promise: Promise::Between(20.0, 40.0),
        settings: &[
            setting!(
                "throughput.toml",
                "the system prompts exceed one worker's cache",
                &[],
                13.1,
                0.8
            ),
            setting!(
                "throughput.toml",
                "the system prompts fit into every worker's cache (10 of them)",
                &["workload.shared_prefix.prefixes=10"],
                19.9,
                0.8
            ),
        ],
    },
    Claim {
        text: "worker utilisation within 20 % of each other",
        measure: Measure::BusySpread,
        promise: Promise::AtMost(20.0),
        settings: &[
            setting!("utilisation.toml", "many system prompts are equally popular", &[], 13.1, 0.8),
            setting!(
                "utilisation.toml",
                "their popularity is skewed (Zipf 1.2)",
                &["workload.shared_prefix.zipf=1.2"],
                16.3,
                0.8
            ),
            setting!(
                "utilisation.toml",
                "requests come one at a time (0.2 % of round robin's capacity)",
                &[],
                13.1,
                0.002
            ),
        ],
    },
    Claim {
        text: "no hot spots: no worker above 1.5 times the mean load, none overloaded",
        measure: Measure::HotSpot,
        promise: Promise::AtMost(1.5),
        settings: &[
            setting!("hot-spots.toml", "many system prompts are equally popular", &[], 13.1, 0.8),
            setting!(
                "hot-spots.toml",
                "all requests share one system prompt",
                &["workload.shared_prefix.prefixes=1"],
                20.7,
                0.8
            ),
            setting!(
                "hot-spots.toml",
                "they share one and come one at a time (0.2 % of round robin's capacity)",
                &["workload.shared_prefix.prefixes=1"],
                20.7,
                0.002
            ),
        ],
    },
];
