//! From a plan to scenarios that can be run: every point is resolved and checked before the first
//! one runs, each trace is read once for all of them.

use super::plan::{MODE, Plan, Point, Settings, routers};
use super::spec::Spec;
use crate::compare::{self, Prepared};
use crate::error::{Error, Result};
use crate::scenario::{Draft, Scenario, WorkloadKind, WorkloadSpec};
use crate::sim::Setup;
use crate::workload::trace::{self, TraceFacts};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// A sweep that can be run.
pub struct Sweep {
    /// Its points and cells.
    pub plan: Plan,
    /// What makes it this sweep and no other.
    pub definition: Definition,
    /// A scenario for every point, or why it has none.
    pub points: Vec<std::result::Result<Ready, String>>,
    /// What the user should know about the traces, if anything.
    pub notes: Vec<String>,
}

/// A point that can be run.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Resolved.
    pub scenario: Scenario,
    /// Requests of one run.
    pub requests: u64,
}

/// What a journal is kept for: everything that the final files are made from but the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// SHA-256 over the resolved scenarios of all points, and the version of the program.
    pub sha256: String,
    /// The sweep as TOML.
    pub sweep: String,
    /// Requests of one run of the first point.
    pub requests: u64,
    /// The resolved scenario of the first point as TOML.
    pub scenario: String,
}

impl Definition {
    /// The plan that this is the definition of.
    ///
    /// # Errors
    /// Where the text has been tampered with.
    pub fn plan(&self) -> Result<Plan> {
        Plan::new(Spec::parse(&self.sweep, "the journal's sweep")?)
    }

    /// The scenario of the first point.
    ///
    /// # Errors
    /// Where the text has been tampered with.
    pub fn first_scenario(&self) -> Result<Scenario> {
        Draft::parse(&self.scenario, "the journal's scenario")?.finish()
    }
}

/// Expands a sweep and resolves all its points.
///
/// # Errors
/// Where the sweep is not in order, or not a single point of it can be run.
pub fn prepare(mut spec: Spec) -> Result<Sweep> {
    spec.check()?;
    complete(&mut spec)?;
    let plan = Plan::new(spec)?;
    let mut scans = Scans::default();
    let mut notes = Vec::new();
    let points: Vec<_> = plan
        .points
        .iter()
        .map(|point| ready(&plan, point, &mut scans, &mut notes).map_err(|why| why.to_string()))
        .collect();
    let Some(first) = points.iter().find_map(|point| point.as_ref().ok()) else {
        let why = points.iter().find_map(|point| point.as_ref().err());
        return Err(Error::input(why.cloned().unwrap_or_else(|| "the sweep has no points".into())));
    };
    notes.dedup();
    let definition = define(&plan.spec, &points, first);
    Ok(Sweep { plan, definition, points, notes })
}

/// Writes down what the sweep leaves to its workload: the first seed and the routers. From then on
/// points and cells follow from the sweep alone.
fn complete(spec: &mut Spec) -> Result<()> {
    let mut settings = Settings::new();
    for (key, values) in spec.grid.iter().chain(&spec.zip) {
        settings.extend(values.first().map(|value| (key.clone(), value.clone())));
    }
    let draft = draft(spec, &settings)?;
    if spec.seed.is_none() {
        let own = draft.get("seed").and_then(Value::as_integer);
        spec.seed = Some(own.and_then(|seed| u64::try_from(seed).ok()).unwrap_or(42));
    }
    let swept = spec.keys().iter().any(|key| key == MODE);
    if !swept && !spec.set.contains_key(MODE) {
        let default = crate::scenario::RouterSpec::default().mode.join(",");
        let own = draft.get(MODE).cloned().unwrap_or(Value::String(default));
        spec.set.insert(MODE.into(), own);
    }
    if let Some(mode) = spec.set.get_mut(MODE) {
        *mode = Value::Array(routers(mode).into_iter().map(Value::String).collect());
    }
    Ok(())
}

/// The scenario of a point before it is checked.
fn draft(spec: &Spec, settings: &Settings) -> Result<Draft> {
    let workload = match settings.get("workload") {
        Some(Value::String(workload)) => workload.clone(),
        Some(other) => {
            return Err(Error::input(format!("workload = {other} is no name of a workload")));
        }
        None => spec.workload.clone().ok_or_else(|| {
            Error::input(
                "the sweep has no workload; write for example workload = \"multi-turn\", or give a \
                 trace with --trace FILE",
            )
        })?,
    };
    let mut draft = Draft::load(&workload)?;
    let given = |key: &str| spec.set.contains_key(key) || settings.contains_key(key);
    // What ends a run by time should not end earlier by a number that nobody asked for.
    if given("workload.duration") && !given("workload.requests") {
        draft.unset("workload.requests");
    }
    for (key, value) in spec.set.iter().chain(settings).filter(|(key, _)| *key != "workload") {
        make_room(&mut draft, key)?;
        draft.set(key, value.clone())?;
    }
    Ok(draft)
}

/// A rate or concurrency given alone asks for an arrival process that has one.
fn make_room(draft: &mut Draft, key: &str) -> Result<()> {
    let own = |key: &str| draft.get(&format!("workload.arrival.{key}")).and_then(Value::as_str);
    let (process, shaped) = (own("process"), own("spacing") == Some("gamma"));
    let wanted = match (key, process) {
        (
            "workload.arrival.rate",
            None | Some("closed" | "sessions" | "burst" | "timestamps" | "ramp"),
        ) => "poisson",
        ("workload.arrival.concurrency", process) if process != Some("closed") => "closed",
        ("workload.arrival.sessions", process) if process != Some("sessions") => "sessions",
        ("workload.arrival.burstiness", process) if process != Some("gamma") && !shaped => "gamma",
        _ => return Ok(()),
    };
    let mut arrival = Table::from_iter([("process".into(), Value::String(wanted.into()))]);
    if let Some(rate) = draft.get("workload.arrival.rate").filter(|_| wanted == "gamma") {
        arrival.insert("rate".into(), rate.clone());
    }
    draft.set("workload.arrival", Value::Table(arrival))
}

fn ready(plan: &Plan, point: &Point, scans: &mut Scans, notes: &mut Vec<String>) -> Result<Ready> {
    let mut draft = draft(&plan.spec, &point.settings)?;
    let seed = plan.seeds.first().copied().unwrap_or(42);
    draft.set("seed", Value::Integer(i64::try_from(seed).unwrap_or(i64::MAX)))?;
    draft.set("seeds", Value::Integer(1))?;
    let Prepared { scenario, requests, note } =
        compare::prepare_with(draft.finish()?, &mut |workload| scans.of(workload))?;
    for mode in &scenario.router.mode {
        Setup::new(&scenario, mode, seed)?;
    }
    notes.extend(note);
    Ok(Ready { scenario, requests })
}

/// What each trace holds, found once.
#[derive(Default)]
struct Scans(BTreeMap<String, std::result::Result<TraceFacts, String>>);

impl Scans {
    fn of(&mut self, workload: &WorkloadSpec) -> Result<TraceFacts> {
        let scan = || trace::scan(workload).map_err(|why| why.to_string());
        let found = self.0.entry(trace_name(workload)).or_insert_with(scan);
        found.clone().map_err(Error::Input)
    }
}

/// The same for workloads that read the same sessions of the same file.
pub(super) fn trace_name(workload: &WorkloadSpec) -> String {
    let read = WorkloadSpec {
        requests: None,
        duration: None,
        arrival: None,
        speedup: 1.0,
        trace_format: None,
        trace_sha256: None,
        ..workload.clone()
    };
    toml::to_string(&read).unwrap_or_default()
}

/// Whether a point replays a trace.
pub(super) fn is_trace(scenario: &Scenario) -> bool {
    scenario.workload.kind == WorkloadKind::Trace
}

fn define(spec: &Spec, points: &[std::result::Result<Ready, String>], first: &Ready) -> Definition {
    let sweep = spec.to_toml();
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    super::METRICS.iter().for_each(|metric| hash.update(metric.name));
    hash.update(&sweep);
    for point in points {
        match point {
            Ok(ready) => hash.update(ready.scenario.to_toml()),
            Err(why) => hash.update(why),
        }
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Definition { sha256, sweep, requests: first.requests, scenario: first.scenario.to_toml() }
}
