//! `kvroute explain`: why a request went where it went, from the `decisions.jsonl` of a run.
//! The file is read line by line: that of a large run does not fit in memory.

mod words;

use super::decision::{Candidate, DecisionRecord, LiveHits};
use super::format::number;
use crate::error::{Error, Result, did_you_mean};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// Decisions listed where no request is named.
const COSTLIEST: usize = 10;
/// Workers shown of a large cluster.
const MOST_WORKERS: usize = 16;

/// What to explain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The request; the costliest decisions are listed without one.
    pub request: Option<u64>,
    /// Only this router.
    pub router: Option<String>,
    /// Only this seed.
    pub seed: Option<u64>,
}

impl Query {
    fn wants_run(&self, decision: &DecisionRecord) -> bool {
        self.router.as_ref().is_none_or(|router| *router == decision.router)
            && self.seed.is_none_or(|seed| seed == decision.seed)
    }
}

/// Prints what `query` asks of the run in `run_dir`.
///
/// # Errors
/// Where the run recorded no decisions, or nothing in it matches the query.
pub fn explain(out: &mut impl Write, run_dir: &Path, query: &Query) -> Result<()> {
    let mut seen = Seen::default();
    let mut costliest: Vec<DecisionRecord> = Vec::new();
    let mut found = 0u64;
    for_each(run_dir, |decision| {
        seen.note(&decision);
        if !query.wants_run(&decision) {
            return Ok(());
        }
        match query.request {
            Some(request) if request == decision.request => {
                found += 1;
                let gap = if found > 1 { "\n" } else { "" };
                write!(out, "{gap}{}", render(&decision)).map_err(closed)
            }
            Some(_) => Ok(()),
            None => {
                found += 1;
                keep_costliest(&mut costliest, decision);
                Ok(())
            }
        }
    })?;
    if found == 0 {
        return Err(seen.nothing(query, run_dir));
    }
    if query.request.is_none() {
        write!(out, "{}", overview(&costliest, found, run_dir)).map_err(closed)?;
    }
    Ok(())
}

fn closed(why: io::Error) -> Error {
    Error::Run(format!("cannot print: {why}"))
}

fn for_each(run_dir: &Path, mut then: impl FnMut(DecisionRecord) -> Result<()>) -> Result<()> {
    let path = run_dir.join("decisions.jsonl");
    let file = File::open(&path).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound => Error::input(no_decisions(run_dir)),
        _ => Error::unreadable(&path, why),
    })?;
    for (index, line) in BufReader::with_capacity(1 << 16, file).lines().enumerate() {
        let line = line.map_err(|why| Error::unreadable(&path, why))?;
        let decision = serde_json::from_str(&line).map_err(|why| {
            Error::unreadable(&path, format!("line {} is no decision: {why}", index + 1))
        })?;
        then(decision)?;
    }
    Ok(())
}

/// Why there are none, and the cure.
fn no_decisions(run_dir: &Path) -> String {
    let dir = run_dir.display();
    let summary = std::fs::read(run_dir.join("summary.json")).unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap_or_default();
    match summary["live"]["routed_by"].as_str() {
        Some("server") => format!(
            "in {dir} the server chose the workers, and it alone knows why; kvroute explains its own \
             decisions: run it with --worker and --decisions"
        ),
        _ => format!("{dir} records no decisions; run it again with --decisions"),
    }
}

/// What the file holds, for messages about what it does not hold.
#[derive(Default)]
struct Seen {
    routers: BTreeSet<String>,
    seeds: BTreeSet<u64>,
    requests: Option<(u64, u64)>,
}

impl Seen {
    fn note(&mut self, decision: &DecisionRecord) {
        if !self.routers.contains(&decision.router) {
            self.routers.insert(decision.router.clone());
        }
        self.seeds.insert(decision.seed);
        let id = decision.request;
        let (low, high) = self.requests.unwrap_or((id, id));
        self.requests = Some((low.min(id), high.max(id)));
    }

    /// The sentence for a query without an answer.
    fn nothing(&self, query: &Query, run_dir: &Path) -> Error {
        let Some((low, high)) = self.requests else {
            return Error::input(format!("{} holds no decision", run_dir.display()));
        };
        if let Some(router) = query.router.as_ref().filter(|r| !self.routers.contains(*r)) {
            let known: Vec<&str> = self.routers.iter().map(String::as_str).collect();
            return Error::input(format!(
                "router \"{router}\" is not in this run; it has {}{}",
                known.join(", "),
                did_you_mean(router, known.iter().copied())
            ));
        }
        if let Some(seed) = query.seed.filter(|seed| !self.seeds.contains(seed)) {
            let (first, last) = (self.seeds.first(), self.seeds.last());
            return Error::input(format!(
                "seed {seed} is not in this run; it has seeds {} to {}",
                first.unwrap_or(&0),
                last.unwrap_or(&0)
            ));
        }
        let request = query.request.unwrap_or(0);
        Error::input(format!(
            "request {request} is not in this run; its requests are {low} to {high}"
        ))
    }
}

/// What a decision cost: its regret in blocks; of a live run, where nobody knows that, the tokens by which
/// the router was wrong about the worker it took.
fn cost(decision: &DecisionRecord) -> f64 {
    let miss = || decision.live.and_then(LiveHits::miss).map_or(0.0, f64::from);
    decision.cost.unwrap_or_else(miss)
}

/// Keeps the costliest decisions, the earliest among equals.
fn keep_costliest(kept: &mut Vec<DecisionRecord>, decision: DecisionRecord) {
    let is_before = |a: &DecisionRecord, b: &DecisionRecord| {
        let order = cost(b).total_cmp(&cost(a)).then(a.time_ms.total_cmp(&b.time_ms));
        order.is_lt()
    };
    let place = kept.iter().position(|other| is_before(&decision, other));
    kept.insert(place.unwrap_or(kept.len()), decision);
    kept.truncate(COSTLIEST);
}

/// The costliest decisions, one line each, and how to ask for one.
fn overview(costliest: &[DecisionRecord], decisions: u64, run_dir: &Path) -> String {
    let costly: Vec<&DecisionRecord> = costliest.iter().filter(|d| cost(d) > 0.0).collect();
    let is_live = costliest.iter().any(|decision| decision.live.is_some());
    let total = number(decisions as f64, 0);
    let dir = run_dir.display();
    let example = costliest.first().map_or(0, |decision| decision.request);
    let ask = format!("For one of them: kvroute explain {dir} --request {example}\n");
    if costly.is_empty() && is_live {
        return format!(
            "In all {total} decisions the server found what the router believed.\n{ask}"
        );
    }
    if costly.is_empty() {
        return format!(
            "All {total} decisions took a worker with the most cached blocks of the prompt.\n{ask}"
        );
    }
    let mut text = match is_live {
        true => {
            format!("Of {total} decisions, those in which the router was most wrong about hits:\n")
        }
        false => format!("The costliest of {total} decisions (reusable blocks passed by):\n"),
    };
    for decision in costly {
        let worker = format!("worker-{}", decision.chosen);
        let what = match decision.live {
            Some(hits) => format!(
                "{} hit tokens predicted, {} observed",
                hits.predicted_hit_tokens.unwrap_or(0),
                hits.observed_hit_tokens.unwrap_or(0)
            ),
            None => format!(
                "{} of {} blocks passed by",
                number(cost(decision), 0),
                decision.prompt_blocks
            ),
        };
        let _ = writeln!(
            text,
            "  request {:<8} {} seed {} at {} s: {worker}, {what} ({})",
            decision.request,
            decision.router,
            decision.seed,
            number(decision.time_ms / 1e3, 3),
            decision.reason,
        );
    }
    text + &ask
}

/// One decision as a table of its workers, and what happened in plain words.
pub fn render(decision: &DecisionRecord) -> String {
    let mut text = format!(
        "request {} under {} (seed {}) at {} s: {} prompt tokens, {} full blocks\n",
        decision.request,
        decision.router,
        decision.seed,
        number(decision.time_ms / 1e3, 3),
        number(f64::from(decision.prompt_tokens), 0),
        decision.prompt_blocks,
    );
    let shown = shown(decision);
    text += &table(decision, &shown);
    let hidden = decision.candidates.len() - shown.len();
    if hidden > 0 {
        let _ = writeln!(text, "  ({hidden} more workers not shown)");
    }
    for sentence in words::of(decision) {
        let _ = writeln!(text, "{sentence}");
    }
    text
}

/// Candidates to show: all, or in a large cluster the best by score, always with the chosen one and
/// the one that truly held most. In order of their numbers.
fn shown(decision: &DecisionRecord) -> Vec<&Candidate> {
    let mut order: Vec<&Candidate> = decision.candidates.iter().collect();
    let best = best_overlap(decision);
    order.sort_by(|a, b| {
        let is_kept = |c: &Candidate| c.worker == decision.chosen || Some(c.worker) == best;
        let by_score = match decision.lower_is_better {
            true => a.score.total_cmp(&b.score),
            false => b.score.total_cmp(&a.score),
        };
        let first = is_kept(b).cmp(&is_kept(a));
        first.then(by_score).then(a.worker.cmp(&b.worker))
    });
    order.truncate(MOST_WORKERS);
    order.sort_by_key(|candidate| candidate.worker);
    order
}

/// The first worker with the greatest true overlap; `None` where nobody knows.
fn best_overlap(decision: &DecisionRecord) -> Option<u32> {
    let known = decision.candidates.iter().filter(|c| c.true_overlap_blocks.is_some());
    let best = known.max_by_key(|c| (c.true_overlap_blocks, std::cmp::Reverse(c.worker)));
    best.map(|candidate| candidate.worker)
}

fn table(decision: &DecisionRecord, shown: &[&Candidate]) -> String {
    let mut header = vec!["".to_string(), "believed".into()];
    if knows_truth(decision) {
        header.push("held".into());
    }
    let first = decision.candidates.first();
    header.extend(first.iter().flat_map(|c| &c.terms).map(|term| term.0.to_string()));
    if has_scores(decision) {
        let name = if decision.lower_is_better { "cost" } else { "score" };
        header.push(name.into());
    }
    header.push(String::new());
    let mut rows = vec![header];
    rows.extend(shown.iter().map(|candidate| cells(decision, candidate)));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let padded: Vec<String> = std::iter::zip(row, &widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        let _ = writeln!(text, "  {}", padded.join("  ").trim_end());
    }
    text
}

/// Whether what workers truly held is known: a simulation knows.
fn knows_truth(decision: &DecisionRecord) -> bool {
    decision.candidates.iter().any(|candidate| candidate.true_overlap_blocks.is_some())
}

/// Whether the policy scores workers at all: turn-taking ones do not.
fn has_scores(decision: &DecisionRecord) -> bool {
    let mut candidates = decision.candidates.iter();
    candidates.any(|candidate| !candidate.terms.is_empty() || candidate.score != 0.0)
}

fn cells(decision: &DecisionRecord, candidate: &Candidate) -> Vec<String> {
    let believed = candidate.believed_overlap_blocks;
    let mut cells = vec![
        format!("worker-{}", candidate.worker),
        believed.map_or("-".into(), |blocks| blocks.to_string()),
    ];
    if knows_truth(decision) {
        let held = candidate.true_overlap_blocks;
        cells.push(held.map_or("-".into(), |blocks| blocks.to_string()));
    }
    cells.extend(candidate.terms.iter().map(|term| number(term.1, 2)));
    if has_scores(decision) {
        cells.push(match candidate.score.is_finite() {
            true => number(candidate.score, 2),
            false => "ruled out".into(),
        });
    }
    let is_chosen = candidate.worker == decision.chosen;
    cells.push(if is_chosen { "<- chosen" } else { "" }.into());
    cells
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
