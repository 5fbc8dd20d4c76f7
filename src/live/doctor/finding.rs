//! What an examination comes to.

use serde::Serialize;
use std::fmt;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Measurements are possible, and something about them is doubtful.
    Warn,
    /// What is measured would be wrong or missing.
    Fail,
    /// It could not be looked at.
    Skip,
}

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// It can be reached and answers.
    Endpoint,
    /// Its answers come token by token.
    Streaming,
    /// Its answers have the length asked for.
    OutputLength,
    /// Its answers say how many prompt tokens were cached.
    UsageDetails,
    /// A prompt that was sent before is found in its cache.
    PrefixCache,
    /// A front end sends such a prompt where it is cached.
    Repeats,
    /// Endpoints are different servers.
    Distinct,
    /// It counts a prompt's tokens as we do.
    Tokenizer,
    /// It has blocks of the size that we take it to have.
    BlockSize,
    /// Prompts of the workload are longer than a block.
    Workload,
    /// KV events arrive.
    KvEvents,
    /// The blocks they tell of are those of our prompts.
    KvBlocks,
    /// Lost KV events can be had again.
    KvReplay,
    /// Pages of metrics can be read.
    Metrics,
    /// Nobody else uses the servers.
    OtherTraffic,
    /// Requests are spread over the workers.
    Spread,
    /// This machine keeps up.
    Client,
    /// Clocks are right.
    Clock,
}

impl Check {
    /// Its word, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Check::Endpoint => "endpoint",
            Check::Streaming => "streaming",
            Check::OutputLength => "output-length",
            Check::UsageDetails => "usage-details",
            Check::PrefixCache => "prefix-cache",
            Check::Repeats => "repeats",
            Check::Distinct => "distinct",
            Check::Tokenizer => "tokenizer",
            Check::BlockSize => "block-size",
            Check::Workload => "workload",
            Check::KvEvents => "kv-events",
            Check::KvBlocks => "kv-blocks",
            Check::KvReplay => "kv-replay",
            Check::Metrics => "metrics",
            Check::OtherTraffic => "other-traffic",
            Check::Spread => "spread",
            Check::Client => "client",
            Check::Clock => "clock",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How it went.
    pub status: Status,
    /// Where: URLs or endpoints; empty = all of the set-up.
    pub at: Vec<String>,
    /// What was seen, or why nothing was looked at.
    pub seen: String,
    /// What that comes from, as far as can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl Finding {
    /// A check that found nothing wrong.
    pub fn pass(check: Check, seen: impl Into<String>) -> Finding {
        let (at, seen) = (Vec::new(), seen.into());
        Finding { check, status: Status::Pass, at, seen, cause: None, cure: None }
    }

    /// A check that could not be made, and why.
    pub fn skip(check: Check, why: impl Into<String>) -> Finding {
        Finding { status: Status::Skip, ..Finding::pass(check, why) }
    }

    /// Something doubtful: what was seen, its cause, the cure.
    pub fn warn(
        check: Check,
        seen: impl Into<String>,
        cause: impl Into<String>,
        cure: impl Into<String>,
    ) -> Finding {
        Finding { status: Status::Warn, ..Finding::fail(check, seen, cause, cure) }
    }

    /// Something wrong: what was seen, its cause, the cure.
    pub fn fail(
        check: Check,
        seen: impl Into<String>,
        cause: impl Into<String>,
        cure: impl Into<String>,
    ) -> Finding {
        let (cause, cure) = (Some(cause.into()), Some(cure.into()));
        Finding { status: Status::Fail, cause, cure, ..Finding::pass(check, seen) }
    }

    /// The same, found at `place`.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Finding {
        self.at = vec![place.to_string()];
        self
    }

    /// A failure becomes a warning where it is but `doubtful`.
    #[must_use]
    pub fn warn_if(mut self, doubtful: bool) -> Finding {
        if doubtful && self.status == Status::Fail {
            self.status = Status::Warn;
        }
        self
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Of this structure.
    pub schema_version: &'static str,
    /// Checks that passed.
    pub passed: usize,
    /// Checks with a warning.
    pub warnings: usize,
    /// Checks that failed.
    pub failed: usize,
    /// Checks that could not be made.
    pub skipped: usize,
    /// In the order of [`Check`]; equal findings of several places are one.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Sorts and counts `findings`, and joins equal ones.
    pub fn of(mut findings: Vec<Finding>) -> Diagnosis {
        findings.sort_by_key(|finding| finding.check);
        let mut joined: Vec<Finding> = Vec::new();
        for finding in findings {
            let bare = |one: &Finding| Finding { at: Vec::new(), ..one.clone() };
            match joined.iter_mut().find(|other| bare(other) == bare(&finding)) {
                Some(same) => same.at.extend(finding.at),
                None => joined.push(finding),
            }
        }
        let count = |status| joined.iter().filter(|one| one.status == status).count();
        Diagnosis {
            schema_version: "1",
            passed: count(Status::Pass),
            warnings: count(Status::Warn),
            failed: count(Status::Fail),
            skipped: count(Status::Skip),
            findings: joined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_in_order_and_equal_ones_are_one() {
        let found = Diagnosis::of(vec![
            Finding::fail(Check::Metrics, "no page", "it is down", "start it").at("m"),
            Finding::pass(Check::Endpoint, "it answers").at("a"),
            Finding::skip(Check::KvEvents, "none given"),
            Finding::pass(Check::Endpoint, "it answers").at("b"),
            Finding::pass(Check::Endpoint, "it answers late").at("c"),
        ]);
        let places: Vec<&[String]> = found.findings.iter().map(|one| &one.at[..]).collect();
        assert_eq!(places[0], ["a", "b"]);
        assert_eq!(
            (places[1], places[2].len(), places[3]),
            (&["c".into()][..], 0, &["m".into()][..])
        );
        let counts = (found.passed, found.warnings, found.failed, found.skipped);
        assert_eq!(counts, (2, 0, 1, 1));
    }
}
