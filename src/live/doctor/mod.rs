//! `kvroute live doctor`: what is wrong with a set-up for measuring KV-aware routing, with causes and
//! cures.
//!
//! An examination sends some prompts that no cache can know (`prompts`) to every endpoint
//! (`visit`), and then many at once through the front ends (`spread`); meanwhile it listens to KV
//! events (`ears`) and looks at pages of metrics (`pages`). What was seen is then judged by
//! `checks`, which send nothing.
//!
//! One request at a time, a few dozen in all: it takes seconds, and the servers should be idle.

mod chains;
mod checks;
mod ears;
pub mod finding;
mod look;
mod pages;
mod probe;
mod prompts;
mod spread;
mod visit;

use super::kv_events::subscriber::Feed;
use super::options::LiveOptions;
use super::runtime;
use super::text::Texts;
use crate::compare;
use crate::error::Result;
use crate::scenario::Scenario;
use checks::{Facts, blocks, cached, endpoint, events, metrics, tokens};
use ears::Heard;
use finding::{Check, Diagnosis, Finding};
use look::Seen;
use visit::Visit;

/// What is examined.
pub struct SetUp<'a> {
    /// Endpoints, front ends (or servers of which that is not known) first, then workers; pages of
    /// metrics; bodies.
    pub options: &'a LiveOptions,
    /// How many of the endpoints are no workers.
    pub fronts: usize,
    /// KV events, one for each worker, or of workers behind the front ends.
    pub feeds: &'a [Feed],
    /// The workload that is to be run.
    pub scenario: &'a Scenario,
    /// What it is called.
    pub workload: &'a str,
    /// Pages of metrics were named by the user; else there is one for each endpoint.
    pub metrics_given: bool,
    /// Tokens per block were.
    pub block_tokens_given: bool,
}

/// Examines `set_up`; `texts` writes the prompts.
///
/// # Errors
/// Options that cannot be used at all. What is wrong with servers is a finding.
pub fn examine(set_up: &SetUp, texts: &Texts) -> Result<Diagnosis> {
    set_up.feeds.iter().try_for_each(Feed::check)?;
    let mut findings = vec![workload(set_up, &[])?];
    let seen = runtime::block_on(look::look(set_up, texts))?;
    if !seen.facts.block_sizes.is_empty() {
        let sizes: Vec<u32> = seen.facts.block_sizes.iter().copied().collect();
        findings = vec![workload(set_up, &sizes)?];
    }
    findings.extend(judge(set_up, &seen));
    Ok(Diagnosis::of(findings))
}

/// The workload's prompts against the largest of the blocks that are known.
fn workload(set_up: &SetUp, sizes: &[u32]) -> Result<Finding> {
    let scenario = set_up.scenario;
    let size = sizes.iter().max().copied().unwrap_or(scenario.cluster.block_tokens);
    let mut source = compare::open_workload(scenario, scenario.seed)?;
    let lengths = blocks::lengths(scenario, source.as_mut(), size)?;
    Ok(blocks::workload(set_up.workload, &lengths, size))
}

fn judge(set_up: &SetUp, seen: &Seen) -> Vec<Finding> {
    let Seen { visits, ears, counted, facts, .. } = seen;
    let heard = &ears.heard[..];
    let mut findings = Vec::new();
    for visit in visits {
        findings.extend(endpoint::check(visit));
        findings.extend(cached::check(visit, facts));
        findings.extend(tokens::check(visit, facts));
    }
    findings.push(blocks::size(facts, visits));
    findings.push(distinct(set_up, seen));
    findings.extend(kv_events(set_up, visits, heard, facts));
    let down = |place: usize| visits.get(place).is_some_and(|visit| !visit.is_open());
    findings.extend(metrics::pages(counted, &seen.last, set_up.metrics_given, down));
    if counted.sources.is_empty() {
        findings.push(Finding::skip(Check::Metrics, "not asked for (--no-server-metrics)"));
    }
    findings.push(metrics::other_traffic(counted, seen.tokens));
    findings.push(spread::check(set_up, seen.spread.as_ref()));
    findings.extend(checks::client::check(&seen.client));
    findings
}

fn kv_events(set_up: &SetUp, visits: &[Visit], heard: &[Heard], facts: &Facts) -> Vec<Finding> {
    if heard.is_empty() {
        return vec![Finding::skip(Check::KvEvents, "no --kv-events-endpoint was given")];
    }
    let workers = visits.len() - set_up.fronts;
    let of_workers = workers == heard.len();
    let feeds_of = |visit: &Visit| match visit.place.checked_sub(set_up.fronts) {
        Some(worker) if of_workers => vec![worker],
        _ => (0..heard.len()).collect(),
    };
    let tells =
        |feed: usize| visits.iter().any(|visit| visit.is_open() && feeds_of(visit).contains(&feed));
    let open: Vec<bool> = (0..heard.len()).map(tells).collect();
    let blocks =
        visits.iter().filter_map(|visit| events::blocks(visit, heard, &feeds_of(visit), facts));
    events::feeds(heard, &open).into_iter().chain(blocks).collect()
}

/// Whether workers are different servers.
fn distinct(set_up: &SetUp, seen: &Seen) -> Finding {
    let check = Check::Distinct;
    let open = seen.visits.iter().filter(|visit| visit.alone && visit.is_open()).count();
    if set_up.options.targets.len() < set_up.fronts + 2 || open < 2 {
        return Finding::skip(check, "there are no two workers to compare");
    }
    let Some((one, other)) = seen.shared.first() else {
        return Finding::pass(
            check,
            format!("no worker of {open} finds what only another was sent"),
        );
    };
    let url = |place: &usize| &seen.visits[*place].url;
    Finding::fail(
        check,
        format!("{} finds in its cache what was sent to {} only", url(other), url(one)),
        "both are one server (a service's address, a tunnel to the same one), or they share a cache",
        "give each worker's own address; with a shared cache routing by KV makes little difference",
    )
}
