//! `decisions.jsonl` of a live run: why each request went where it went, and how the router's belief in
//! the worker came out. A line is written when its request has ended.

use crate::error::{Error, Result};
use crate::live::record::{LiveRecord, LiveSink};
use crate::report::decision::{Candidate, DecisionRecord, LiveHits};
use crate::report::run_dir::{ResultFile, RunDir};
use crate::report::run_files::{DECISIONS, share};
use std::io::Write;

/// The decisions of one run, on their way to disk.
pub(super) struct Decisions {
    router: String,
    seed: u64,
    out: ResultFile,
}

impl Decisions {
    /// For run number `place`, from 0, of those that go to `dir`.
    ///
    /// # Errors
    /// Where the file cannot be created.
    pub(super) fn create(dir: &RunDir, place: usize, router: &str, seed: u64) -> Result<Decisions> {
        Ok(Decisions { router: router.into(), seed, out: dir.writer(&share(DECISIONS, place))? })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Where the rest cannot be written.
    pub(super) fn finish(self) -> Result<()> {
        self.out.commit()
    }

    fn record(&self, record: &LiveRecord) -> Option<DecisionRecord> {
        let explained = record.decision.as_ref()?;
        let decision = &explained.decision;
        let explanation = decision.explanation.as_ref();
        let considered = explanation.into_iter().flat_map(|why| &why.candidates);
        let candidates = considered.map(|(worker, candidate)| {
            let believed = decision.believed.get(*worker as usize).copied();
            let result = (candidate.load, candidate.score);
            Candidate::new((*worker, believed, None), &candidate.terms, result)
        });
        Some(DecisionRecord {
            router: self.router.clone(),
            seed: self.seed,
            request: record.id,
            time_ms: record.scheduled.as_ms_f64(),
            prompt_tokens: explained.prompt_tokens,
            prompt_blocks: explained.prompt_blocks,
            chosen: decision.worker + 1,
            reason: explanation.map_or_else(String::new, |why| why.reason.clone()).into(),
            tie: explanation.map_or(1, |why| why.ties.max(1)),
            lower_is_better: explanation.is_some_and(|why| why.lower_wins),
            cost: None,
            candidates: candidates.collect(),
            live: Some(LiveHits {
                predicted_hit_tokens: record.predicted_hit_tokens,
                observed_hit_tokens: record.hit_tokens(),
            }),
        })
    }
}

impl LiveSink for Decisions {
    fn request(&mut self, record: &LiveRecord) -> Result<()> {
        let Some(decision) = self.record(record) else { return Ok(()) };
        let line = serde_json::to_string(&decision).map_err(|why| Error::Run(why.to_string()))?;
        writeln!(self.out, "{line}").map_err(|why| self.out.error(&why))
    }
}
