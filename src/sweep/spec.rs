//! What a sweep varies, and how it is written down.
//!
//! ```toml
//! workload = "multi-turn"     # bundled workload, scenario file or trace file; or swept, or --trace
//! seeds = 5                   # replicates; every point sees the same seeds; default 1
//! seed = 42                   # the first of them; default the workload's own
//! metric = "ttft_p99_ms"      # what the table ranks by and `stop_when_within` looks at
//! stop_when_within = "2%"     # no more seeds for a cell once its 95 % interval is this narrow
//!
//! [set]                       # the same at every point; any scenario key
//! "workload.arrival.rate" = 4.5
//! [grid]                      # every combination of these
//! "router.kv.overlap_weight" = [0, 0.5, 1]
//! "router.kv.temperature" = "0:1:0.25"       # a range: first:last:step
//! [zip]                       # lists of equal length that go together; combined with the grid
//! "cluster.workers" = [4, 8]
//! "workload.requests" = [2000, 4000]
//! [sample]                    # points drawn at random; combined with the others
//! method = "latin-hypercube"  # or "random"
//! points = 20
//! [sample.ranges]
//! "router.event_loss" = { low = 0.001, high = 0.1, log = true }   # whole = true: whole numbers
//! [baseline]                  # what every point is compared with: the point that differs from it
//! "router.kv.temperature" = 0 # in these settings, or, where there is none, an extra point that
//!                             # has just them; default: the first point
//! ```
//!
//! `workload` may be a key of `[grid]` or `[zip]`. `router.mode` as a list in `[set]` (default: the
//! workload's own) names routers that are all run at every point.

use super::axis;
use super::metric;
use super::sample::SampleSpec;
use crate::error::{Error, Result};
use crate::scenario::{explain, one_line};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// A sweep as its user describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Bundled workload, scenario file or trace file; absent where it is swept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// First seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Replicates, 1 to 10,000.
    #[serde(default = "one_seed")]
    pub seeds: u32,
    /// Name of the metric that cells are ranked by.
    #[serde(default = "default_metric")]
    pub metric: String,
    /// Half width of the 95 % interval, relative to the mean, at which a cell needs no more seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_when_within: Option<String>,
    /// Settings common to all points.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// Keys of which every combination is a point.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grid: BTreeMap<String, Vec<Value>>,
    /// Keys that change together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub zip: BTreeMap<String, Vec<Value>>,
    /// Keys drawn at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSpec>,
    /// The settings of the point that others are compared with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baseline: BTreeMap<String, Value>,
}

fn one_seed() -> u32 {
    1
}

fn default_metric() -> String {
    "ttft_p99_ms".into()
}

impl Spec {
    /// One point: this workload as it is.
    pub fn of_workload(workload: &str) -> Spec {
        let workload = Some(workload.to_string());
        Spec { workload, seeds: 1, metric: default_metric(), ..Spec::default() }
    }

    /// Whether the text is a sweep file and not a scenario, which has a section `[workload]`.
    pub fn is_sweep(text: &str) -> bool {
        let scenario = text.parse::<Table>().is_ok_and(|table| {
            table.get("workload").is_some_and(Value::is_table) || table.contains_key("cluster")
        });
        !scenario
    }

    /// Reads a sweep file; `origin` names it in messages.
    ///
    /// # Errors
    /// Where it is no TOML or has keys that a sweep has not.
    pub fn parse(text: &str, origin: &str) -> Result<Spec> {
        let named = |why: String| Error::input(format!("{origin}: {why}"));
        let mut table = text.parse::<Table>().map_err(|why| {
            Error::input(format!("{origin} is not valid TOML: {}", one_line(&why.to_string())))
        })?;
        for section in ["set", "grid", "zip", "baseline"] {
            flatten_section(&mut table, section, |value| !value.is_table());
        }
        if let Some(sample) = table.get_mut("sample").and_then(Value::as_table_mut) {
            flatten_section(sample, "ranges", |value| value.get("low").is_some());
        }
        for section in ["grid", "zip"] {
            lists(&mut table, section).map_err(|why| named(why.to_string()))?;
        }
        // Printed and parsed again so that messages can point at a line of readable text.
        let text = toml::to_string(&table).map_err(|why| named(why.to_string()))?;
        let mut spec: Spec = toml::from_str(&text).map_err(|why| named(explain(&why, &text)))?;
        spec.lift_seeds().and_then(|()| spec.check()).map_err(|why| named(why.to_string()))?;
        Ok(spec)
    }

    /// As TOML; [`Spec::parse`] reads it back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a sweep holds only what TOML can hold")
    }

    /// Sets a key to one value at every point, or sweeps it over several; options of the command
    /// line do this, and replace what the file says of the key.
    ///
    /// # Errors
    /// Where the file zips or samples that key.
    pub fn put(&mut self, key: &str, mut values: Vec<Value>) -> Result<()> {
        let sampled = self.sample.as_ref().is_some_and(|spec| spec.ranges.contains_key(key));
        if sampled || self.zip.contains_key(key) {
            return Err(Error::input(format!(
                "{key} is in [zip] or [sample] of the sweep file; change it there"
            )));
        }
        self.set.remove(key);
        self.grid.remove(key);
        match values.len() {
            1 => drop(self.set.insert(key.into(), values.remove(0))),
            _ => drop(self.grid.insert(key.into(), values)),
        }
        self.lift_seeds()
    }

    /// `seed` and `seeds` are the sweep's own wherever they are written.
    fn lift_seeds(&mut self) -> Result<()> {
        let whole = |value: &Value| value.as_integer().and_then(|whole| u64::try_from(whole).ok());
        for key in ["seed", "seeds"] {
            let Some(value) = self.set.remove(key) else { continue };
            let number = whole(&value).ok_or_else(|| {
                Error::input(format!("{key} = {value} is out of range; it must be a whole number"))
            })?;
            match key {
                "seed" => self.seed = Some(number),
                _ => self.seeds = u32::try_from(number).unwrap_or(u32::MAX),
            }
        }
        Ok(())
    }

    /// The keys that differ between points, in order.
    pub fn keys(&self) -> Vec<String> {
        let sampled = self.sample.iter().flat_map(|sample| sample.ranges.keys());
        let mut keys: Vec<String> =
            self.grid.keys().chain(self.zip.keys()).chain(sampled).cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Checks what can be checked without reading any other file.
    ///
    /// # Errors
    /// What is wrong, and the cure.
    pub fn check(&self) -> Result<()> {
        if !(1..=10_000).contains(&self.seeds) {
            return Err(Error::input(format!(
                "seeds = {} is out of range; it must be 1 to 10000",
                self.seeds
            )));
        }
        self.metric()?;
        self.stop_share()?;
        self.check_keys()?;
        self.check_lists()
    }

    /// Place of the metric that cells are ranked by.
    ///
    /// # Errors
    /// Where there is no metric of that name.
    pub fn metric(&self) -> Result<usize> {
        metric::find(&self.metric)
    }

    /// [`Spec::stop_when_within`] as a share of the mean.
    ///
    /// # Errors
    /// Where it is no percentage.
    pub fn stop_share(&self) -> Result<Option<f64>> {
        let Some(text) = &self.stop_when_within else { return Ok(None) };
        let percent = text.trim().strip_suffix('%').and_then(|text| text.trim().parse().ok());
        percent
            .filter(|percent: &f64| percent.is_finite() && *percent > 0.0)
            .map(|percent| Some(percent / 100.0))
            .ok_or_else(|| {
                Error::input(format!(
                    "stop_when_within = \"{text}\" is no width; write for example \"2%\""
                ))
            })
    }

    fn check_keys(&self) -> Result<()> {
        let keys = self.keys();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::input(format!("{} is swept twice; give it once", twice[0])));
        }
        for key in &keys {
            if key == "seed" || key == "seeds" {
                return Err(Error::input(format!(
                    "{key} cannot be swept: every point sees the same seeds; give `seeds = 5`"
                )));
            }
            if self.set.contains_key(key) {
                return Err(Error::input(format!(
                    "{key} is both in [set] and swept; give it once"
                )));
            }
        }
        let both = self.workload.is_some() && keys.iter().any(|key| key == "workload");
        if both {
            return Err(Error::input("workload is both given and swept; give it once"));
        }
        Ok(())
    }

    fn check_lists(&self) -> Result<()> {
        for (key, values) in self.grid.iter().chain(&self.zip) {
            if values.is_empty() {
                return Err(Error::input(format!("{key} has no values; give at least one")));
            }
        }
        for (key, values) in &self.grid {
            for (place, value) in values.iter().enumerate() {
                if values[..place].iter().any(|other| axis::same(other, value)) {
                    let value = axis::show(value);
                    return Err(Error::input(format!("{key} lists {value} twice; give it once")));
                }
            }
        }
        let lengths: Vec<usize> = self.zip.values().map(Vec::len).collect();
        if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Error::input(format!(
                "the lists in [zip] have {lengths:?} values; they must be of equal length"
            )));
        }
        Ok(())
    }
}

/// Turns `router.kv.x = 1`, which TOML nests, into the key `"router.kv.x"`; what was written under a
/// quoted dotted key stays whole.
fn flatten_section(table: &mut Table, section: &str, is_leaf: impl Fn(&Value) -> bool + Copy) {
    if let Some(Value::Table(nested)) = table.remove(section) {
        let mut flat = Table::new();
        flatten(nested, "", is_leaf, &mut flat);
        table.insert(section.into(), Value::Table(flat));
    }
}

fn flatten(table: Table, prefix: &str, is_leaf: impl Fn(&Value) -> bool + Copy, into: &mut Table) {
    for (key, value) in table {
        let is_path = key.contains('.');
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) if !is_path && !is_leaf(&Value::Table(inner.clone())) => {
                flatten(inner, &path, is_leaf, into);
            }
            value => drop(into.insert(path, value)),
        }
    }
}

/// Ranges and single values stand for lists.
fn lists(table: &mut Table, section: &str) -> Result<()> {
    let Some(Value::Table(keys)) = table.get_mut(section) else { return Ok(()) };
    for (_, value) in keys.iter_mut() {
        let list = match &*value {
            Value::Array(_) => continue,
            Value::String(text) => axis::range(text)?.unwrap_or_else(|| vec![value.clone()]),
            single => vec![single.clone()],
        };
        *value = Value::Array(list);
    }
    Ok(())
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
