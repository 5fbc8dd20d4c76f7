//! The scenario: the one configuration type. Files and command line options are both turned into a
//! TOML table; overrides are applied to that table; then it is read once, checked once, and trusted.

pub mod arrival;
mod check;
pub mod cluster;
pub mod metrics;
pub mod router;
pub mod workload;

pub use arrival::{ArrivalSpec, Spacing};
pub use cluster::{ClusterSpec, Engine, EvictionKind, GpuSpec, ModelSpec};
pub use metrics::{MetricsSpec, WarmUp};
pub use router::{KvLinearSpec, KvSpec, RouterSpec};
pub use workload::*;

use crate::error::{Error, Result, did_you_mean};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Everything that decides the result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Seed of every random stream.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Replicates: seeds `seed`, `seed + 1`, ...; 1 to 10,000.
    #[serde(default = "default_seeds")]
    pub seeds: u32,
    /// Service level objectives for goodput, for example `ttft:500 itl:50 e2e:5000` (ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<String>,
    /// What is asked, and when.
    pub workload: WorkloadSpec,
    /// The workers.
    #[serde(default)]
    pub cluster: ClusterSpec,
    /// The policies.
    #[serde(default)]
    pub router: RouterSpec,
    /// What is measured.
    #[serde(default, skip_serializing_if = "MetricsSpec::is_default")]
    pub metrics: MetricsSpec,
    /// What is written.
    #[serde(default)]
    pub output: OutputSpec,
}

fn default_seed() -> u64 {
    42
}
fn default_seeds() -> u32 {
    1
}

/// `[output]`: which optional files a run writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSpec {
    /// Write `plots/`.
    pub plots: bool,
    /// Write `decisions.jsonl`, what `kvroute explain` reads.
    pub decisions: bool,
}

impl Default for OutputSpec {
    fn default() -> Self {
        OutputSpec { plots: true, decisions: false }
    }
}

/// Service level objectives in milliseconds; a request counts towards goodput if it meets them all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slo {
    /// Greatest TTFT.
    pub ttft_ms: Option<f64>,
    /// Greatest time per output token of the request.
    pub itl_ms: Option<f64>,
    /// Greatest E2E.
    pub e2e_ms: Option<f64>,
}

impl Slo {
    /// Reads `ttft:500 itl:50 e2e:5000`, any subset, any order.
    ///
    /// # Errors
    /// A sentence naming the part that is wrong.
    pub fn parse(text: &str) -> Result<Slo> {
        let mut slo = Slo::default();
        for part in text.split_whitespace() {
            let cure = "write for example --slo \"ttft:500 itl:50 e2e:5000\" (milliseconds)";
            let (name, value) = part
                .split_once(':')
                .ok_or_else(|| Error::input(format!("slo: \"{part}\" has no colon; {cure}")))?;
            let limit = value
                .parse::<f64>()
                .ok()
                .filter(|limit| limit.is_finite() && *limit > 0.0)
                .ok_or_else(|| {
                    Error::input(format!("slo: \"{part}\" is not a positive number; {cure}"))
                })?;
            match name {
                "ttft" => slo.ttft_ms = Some(limit),
                "itl" => slo.itl_ms = Some(limit),
                "e2e" => slo.e2e_ms = Some(limit),
                _ => {
                    return Err(Error::input(format!("slo: \"{name}\" is not known; {cure}")));
                }
            }
        }
        if slo == Slo::default() {
            return Err(Error::input("slo: nothing given; write for example --slo \"ttft:500\""));
        }
        Ok(slo)
    }
}

impl Slo {
    /// Whether a request with these milliseconds meets every limit given; one without a time per
    /// output token (a single token) meets that limit.
    pub fn met(&self, ttft_ms: f64, tpot_ms: Option<f64>, e2e_ms: f64) -> bool {
        let within = |limit: Option<f64>, value: f64| limit.is_none_or(|limit| value <= limit);
        within(self.ttft_ms, ttft_ms)
            && within(self.itl_ms, tpot_ms.unwrap_or(0.0))
            && within(self.e2e_ms, e2e_ms)
    }
}

/// The workloads that come with the program: name, scenario text.
pub const BUNDLED: &[(&str, &str)] = &[
    ("shared-prefix", include_str!("../../workloads/shared-prefix.toml")),
    ("multi-turn", include_str!("../../workloads/multi-turn.toml")),
    ("similar", include_str!("../../workloads/similar.toml")),
    ("diverse", include_str!("../../workloads/diverse.toml")),
    ("agentic", include_str!("../../workloads/agentic.toml")),
    ("mixed", include_str!("../../workloads/mixed.toml")),
];

/// A scenario before it is checked: a TOML table and where it came from.
#[derive(Clone, Debug)]
pub struct Draft {
    table: Table,
    origin: String,
}

impl Draft {
    /// What `WORKLOAD` on the command line stands for: a bundled workload, a scenario file
    /// (`*.toml`) or a trace file.
    ///
    /// # Errors
    /// Where it is none of these or the file is no TOML.
    pub fn load(workload: &str) -> Result<Draft> {
        if let Some((name, text)) = BUNDLED.iter().find(|(name, _)| *name == workload) {
            return Draft::parse(text, &format!("bundled workload {name}"));
        }
        let path = Path::new(workload);
        if workload.ends_with(".toml") {
            let text = std::fs::read_to_string(path).map_err(|why| Error::unreadable(path, why))?;
            return Draft::parse(&text, workload);
        }
        let known = BUNDLED.iter().map(|(name, _)| *name);
        if !path.is_file() {
            let names: Vec<&str> = known.clone().collect();
            return Err(Error::input(format!(
                "\"{workload}\" is neither a bundled workload ({}) nor a file{}",
                names.join(", "),
                did_you_mean(workload, known)
            )));
        }
        let mut draft = Draft::parse("[workload]\nkind = \"trace\"\n", workload)?;
        draft.set("workload.trace", Value::String(workload.into()))?;
        Ok(draft)
    }

    /// Reads TOML; `origin` names it in messages.
    ///
    /// # Errors
    /// Where it is no TOML: the line and what was expected there.
    pub fn parse(text: &str, origin: &str) -> Result<Draft> {
        let table = text.parse::<Table>().map_err(|why| {
            Error::input(format!("{origin} is not valid TOML: {}", one_line(&why.to_string())))
        })?;
        Ok(Draft { table, origin: origin.into() })
    }

    /// Overrides one dotted key.
    ///
    /// # Errors
    /// Where a part of the key stands for something that is no table.
    pub fn set(&mut self, key: &str, value: Value) -> Result<()> {
        let mut table = &mut self.table;
        let mut parts: Vec<&str> = key.split('.').collect();
        let last = parts.pop().unwrap_or(key);
        for part in parts {
            table = table
                .entry(part)
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut()
                .ok_or_else(|| {
                    Error::input(format!("--set {key}: \"{part}\" is no section of a scenario"))
                })?;
        }
        table.insert(last.into(), value);
        Ok(())
    }

    /// Takes one dotted key back, so that its default holds; nothing where it is absent.
    pub fn unset(&mut self, key: &str) {
        let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut parts = section.split('.').filter(|part| !part.is_empty());
        let table = parts.try_fold(&mut self.table, |table, part| {
            table.get_mut(part).and_then(Value::as_table_mut)
        });
        if let Some(table) = table {
            table.remove(last);
        }
    }

    /// The text that [`Draft::parse`] reads back: what a hash of the draft is made of.
    ///
    /// # Errors
    /// Where the table holds what TOML cannot say.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(&self.table).map_err(|why| Error::input(why.to_string()))
    }

    /// The value at a dotted key, if any.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_table()?.get(part))
    }

    /// Applies `key=value`; the value is read as TOML, or as a plain string where it is none.
    ///
    /// # Errors
    /// Where there is no `=` or the key is no scenario key.
    pub fn set_text(&mut self, assignment: &str) -> Result<()> {
        let (key, text) = assignment.split_once('=').ok_or_else(|| {
            Error::input(format!(
                "--set {assignment}: write key=value, for example --set cluster.workers=8"
            ))
        })?;
        self.set(key.trim(), value_of(text))
    }

    /// Reads and checks the scenario.
    ///
    /// # Errors
    /// Unknown keys (with the nearest known name), wrong types, values out of range.
    pub fn finish(&self) -> Result<Scenario> {
        let mut table = self.table.clone();
        split_modes(&mut table);
        // Printed and parsed again so that messages can point at a line of readable text.
        let text = toml::to_string(&table).map_err(|why| Error::input(why.to_string()))?;
        let scenario: Scenario = toml::from_str(&text)
            .map_err(|why| Error::input(format!("{}: {}", self.origin, explain(&why, &text))))?;
        check::check(&scenario).map_err(|why| Error::input(format!("{}: {why}", self.origin)))?;
        Ok(scenario)
    }
}

/// A value as people type it: TOML, or a plain string where it is none.
pub fn value_of(text: &str) -> Value {
    format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.trim().into()))
}

/// `router.mode = "a,b"` is accepted for a list.
fn split_modes(table: &mut Table) {
    let Some(router) = table.get_mut("router").and_then(Value::as_table_mut) else {
        return;
    };
    if let Some(Value::String(text)) = router.get("mode") {
        let modes = text.split(',').map(|mode| Value::String(mode.trim().into())).collect();
        router.insert("mode".into(), Value::Array(modes));
    }
}

/// Turns serde's message into one sentence with the key's line and, for unknown keys, a suggestion.
pub(crate) fn explain(why: &toml::de::Error, text: &str) -> String {
    let message = one_line(why.message());
    let place = why.span().map_or(String::new(), |span| {
        let before = &text[..span.start.min(text.len())];
        let section = before.lines().rev().find(|line| line.starts_with('['));
        let line = text[before.rfind('\n').map_or(0, |at| at + 1)..].lines().next().unwrap_or("");
        let line = if line.starts_with('[') { "" } else { line };
        format!("{} {line}: ", section.unwrap_or("(top)"))
    });
    let suggestion = unknown_name(&message).map_or(String::new(), |(name, known)| {
        did_you_mean(&name, known.iter().map(String::as_str))
    });
    format!("{}{message}{suggestion}", place.replace("] :", "]:"))
}

/// Parses "unknown field `x`, expected one of `a`, `b`".
fn unknown_name(message: &str) -> Option<(String, Vec<String>)> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_string);
    let name = quoted.next()?;
    Some((name, quoted.collect()))
}

pub(crate) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Scenario {
    /// As TOML; [`Draft::parse`] and [`Draft::finish`] read it back to an equal scenario.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario holds only what TOML can hold")
    }

    /// The service level objectives, if any.
    pub fn slo(&self) -> Option<Slo> {
        self.slo.as_deref().and_then(|text| Slo::parse(text).ok())
    }

    /// The trace file, where the workload is one.
    pub fn trace_path(&self) -> Option<&PathBuf> {
        self.workload.trace.as_ref()
    }
}

#[cfg(test)]
mod tests;
