//! Streams the rows of parallel runs to disk and puts them together in the order of the runs.

use super::csv::{REQUESTS_HEADER, Rows};
use super::decision::{self, DecisionLine};
use super::run_dir::{ResultFile, RunDir};
use crate::error::Result;
use crate::request::RequestRecord;
use crate::sim::{DecisionView, Setup, Sink};
use std::fs::File;
use std::io::Write;

/// Rows of one run.
pub struct RunRows {
    rows: Rows,
    requests: ResultFile,
    decisions: Option<ResultFile>,
    /// Print each decision to the log.
    log: bool,
    router: String,
    seed: u64,
}

fn part(name: &str, place: usize) -> String {
    format!("{name}.{place}")
}

impl RunRows {
    /// For run number `place` of `dir`.
    ///
    /// # Errors
    /// Where the files cannot be created.
    pub fn create(dir: &RunDir, place: usize, setup: &Setup, log: bool) -> Result<RunRows> {
        let wanted = setup.scenario.output.decisions;
        let decisions = wanted.then(|| dir.writer(&part("decisions.jsonl", place))).transpose()?;
        Ok(RunRows {
            rows: Rows::new(&setup.mode, setup.seed),
            requests: dir.writer(&part("requests.csv", place))?,
            decisions,
            log,
            router: setup.mode.clone(),
            seed: setup.seed,
        })
    }
}

impl Sink for RunRows {
    fn wants_decisions(&self) -> bool {
        self.log || self.decisions.is_some()
    }

    fn decision(&mut self, view: &DecisionView) -> Result<()> {
        let line = DecisionLine::new(&self.router, self.seed, view);
        if self.log {
            decision::debug_lines(&line).iter().for_each(|line| tracing::debug!("{line}"));
        }
        let Some(out) = &mut self.decisions else { return Ok(()) };
        line.write(&mut *out).map_err(|why| out.error(&why))
    }

    fn request(&mut self, record: &RequestRecord) -> Result<()> {
        let out = &mut self.requests;
        self.rows.request(&mut *out, record).map_err(|why| out.error(&why))
    }
}
