//! Writes the folder of a run: rows streamed by parallel runs and put together in the order of the
//! runs, then summary, timeline and plots.

use super::csv::{self, Rows};
use super::decision::{Candidate, DebugWorker, DecisionRecord, debug_lines};
use super::describe;
use super::plot::{self, PlotRun};
use super::run_dir::{ResultFile, RunDir};
use crate::error::{Error, Result};
use crate::metrics::recorder::RunOutput;
use crate::metrics::summary::Summary;
use crate::request::RequestRecord;
use crate::sim::{DecisionView, Setup, Sink};
use std::fs::{self, File};
use std::io::{self, Write};

/// Rows of one run, on their way to disk.
pub struct RunRows {
    rows: Rows,
    requests: Option<ResultFile>,
    decisions: Option<ResultFile>,
    router: String,
    seed: u64,
    /// Print each decision to the log.
    log: bool,
}

/// File that holds one run's share of `name` until all runs have ended.
pub(super) fn share(name: &str, place: usize) -> String {
    format!("{name}.{place}.part")
}

impl RunRows {
    /// For run number `place` of those that go to `dir`.
    ///
    /// # Errors
    /// Where the files cannot be created.
    pub fn create(dir: &RunDir, place: usize, setup: &Setup, log: bool) -> Result<RunRows> {
        let wanted = setup.scenario.output.decisions;
        let decisions = wanted.then(|| dir.writer(&share(DECISIONS, place))).transpose()?;
        Ok(RunRows {
            rows: Rows::new(&setup.mode, setup.seed),
            requests: Some(dir.writer(&share(REQUESTS, place))?),
            decisions,
            router: setup.mode.clone(),
            seed: setup.seed,
            log,
        })
    }
}

impl RunRows {
    fn record(&self, view: &DecisionView) -> DecisionRecord {
        let decision = view.decision;
        let explanation = decision.explanation.as_ref();
        let considered = explanation.into_iter().flat_map(|why| &why.candidates);
        let candidates = considered.map(|(worker, candidate)| {
            let believed = decision.believed.get(*worker as usize).copied();
            let held = Some(view.truth[*worker as usize]);
            let result = (candidate.load, candidate.score);
            Candidate::new((*worker, believed, held), &candidate.terms, result)
        });
        let request = view.request;
        DecisionRecord {
            router: self.router.clone(),
            seed: self.seed,
            request: request.id,
            time_ms: request.arrival.as_ms_f64(),
            prompt_tokens: request.prompt_tokens,
            prompt_blocks: view.prompt_blocks,
            chosen: decision.worker + 1,
            reason: explanation.map_or_else(String::new, |why| why.reason.clone()).into(),
            tie: explanation.map_or(1, |why| why.ties.max(1)),
            lower_is_better: explanation.is_some_and(|why| why.lower_wins),
            cost: Some(f64::from(request.best_overlap_blocks - request.overlap_blocks)),
            candidates: candidates.collect(),
            live: None,
        }
    }
}

/// Prints a decision to stderr, its lines together.
fn log(record: &DecisionRecord) -> io::Result<()> {
    let worker = |candidate: &Candidate| DebugWorker {
        worker: candidate.worker,
        overlap_blocks: candidate.believed_overlap_blocks.unwrap_or(0),
        load: candidate.load,
        score: candidate.score,
    };
    let workers: Vec<DebugWorker> = record.candidates.iter().map(worker).collect();
    let lines = debug_lines(&workers, record.chosen, record.lower_is_better);
    let mut err = io::stderr().lock();
    lines.iter().try_for_each(|line| writeln!(err, "{line}"))
}

pub(super) const REQUESTS: &str = "requests.csv";
pub(super) const DECISIONS: &str = "decisions.jsonl";

impl Sink for RunRows {
    fn wants_decisions(&self) -> bool {
        self.log || self.decisions.is_some()
    }

    fn decision(&mut self, view: &DecisionView) -> Result<()> {
        let record = self.record(view);
        if self.log {
            log(&record).map_err(|why| Error::Run(format!("cannot write to stderr: {why}")))?;
        }
        let Some(out) = &mut self.decisions else { return Ok(()) };
        let line = serde_json::to_string(&record).map_err(|why| Error::Run(why.to_string()))?;
        writeln!(out, "{line}").map_err(|why| out.error(&why))
    }

    fn request(&mut self, record: &RequestRecord) -> Result<()> {
        let Some(out) = &mut self.requests else { return Ok(()) };
        self.rows.request(&mut *out, record).map_err(|why| out.error(&why))
    }

    fn finish(&mut self) -> Result<()> {
        self.requests
            .take()
            .into_iter()
            .chain(self.decisions.take())
            .try_for_each(ResultFile::commit)
    }
}

/// Writes everything but `timing.json` into `dir`, after all runs have ended.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(dir: &RunDir, summary: &Summary, outputs: &[RunOutput]) -> Result<()> {
    dir.write("scenario.toml", summary.scenario.to_toml().as_bytes())?;
    let json = serde_json::to_vec_pretty(summary).map_err(|why| Error::Run(why.to_string()))?;
    dir.write("summary.json", &json)?;
    join(dir, REQUESTS, csv::REQUESTS_HEADER, outputs.len())?;
    if summary.scenario.output.decisions {
        join(dir, DECISIONS, "", outputs.len())?;
    }
    per_worker(dir, outputs)?;
    timelines(dir, outputs)?;
    if summary.scenario.output.plots {
        plots(dir, summary, outputs)?;
    }
    Ok(())
}

/// Puts the shares of all runs together.
pub(super) fn join(dir: &RunDir, name: &str, header: &str, runs: usize) -> Result<()> {
    let mut out = dir.writer(name)?;
    let write = |out: &mut ResultFile| -> io::Result<()> {
        out.write_all(header.as_bytes())?;
        for place in 0..runs {
            let share = dir.path(&share(name, place));
            io::copy(&mut File::open(&share)?, out)?;
            fs::remove_file(share)?;
        }
        Ok(())
    };
    write(&mut out).map_err(|why| out.error(&why))?;
    out.commit()
}

fn per_worker(dir: &RunDir, outputs: &[RunOutput]) -> Result<()> {
    let mut text = csv::WORKERS_HEADER.as_bytes().to_vec();
    for output in outputs {
        let mut rows = Rows::new(&output.summary.router, output.summary.seed);
        for worker in &output.workers {
            rows.worker(&mut text, worker).map_err(|why| Error::Run(why.to_string()))?;
        }
    }
    dir.write("workers.csv", &text)
}

fn timelines(dir: &RunDir, outputs: &[RunOutput]) -> Result<()> {
    let mut out = dir.writer("timeline.csv")?;
    let write = |out: &mut ResultFile| -> io::Result<()> {
        out.write_all(csv::TIMELINE_HEADER.as_bytes())?;
        outputs.iter().try_for_each(|output| {
            let mut rows = Rows::new(&output.summary.router, output.summary.seed);
            rows.timeline(out, &output.timeline, output.end)
        })
    };
    write(&mut out).map_err(|why| out.error(&why))?;
    out.commit()
}

fn plots(dir: &RunDir, summary: &Summary, outputs: &[RunOutput]) -> Result<()> {
    let seeds = summary.scenario.seeds as usize;
    let runs: Vec<PlotRun> = outputs
        .chunks(seeds)
        .map(|replicates| PlotRun {
            label: &replicates[0].summary.label,
            ttft_ms: replicates.iter().flat_map(|output| output.ttft_ms.iter().copied()).collect(),
            timeline: &replicates[0].timeline,
            end: replicates[0].end,
            summaries: replicates.iter().map(|output| &output.summary).collect(),
        })
        .collect();
    let requests = summary.runs.first().map_or(0, |run| run.requests.arrived);
    plot::write_all(dir, &describe(&summary.scenario, requests), &runs)
}
