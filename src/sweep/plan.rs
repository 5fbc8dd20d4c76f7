//! From a sweep to its points and cells: pure, so that every shard and every resumed run agree.

use super::axis;
use super::sample;
use super::spec::Spec;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Value;

/// Values of some keys.
pub type Settings = BTreeMap<String, Value>;

/// Points of a sweep at most.
const MOST_POINTS: usize = 100_000;

/// The key that chooses the router.
pub const MODE: &str = "router.mode";

/// One choice of values for the swept keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The values; an extra baseline has those of `[baseline]` alone.
    pub settings: Settings,
    /// Outside the grid, for comparison only.
    pub is_extra: bool,
}

/// One router at one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Number of the point.
    pub point: usize,
    /// Router mode.
    pub router: String,
    /// Number of the cell it is compared with; itself for a baseline.
    pub baseline: usize,
}

/// Which points a run takes: every `of`-th, beginning with number `index`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Number of the shard, from 1.
    pub index: usize,
    /// Number of shards.
    pub of: usize,
}

impl Shard {
    /// All points.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// Reads `2/4`.
    ///
    /// # Errors
    /// Where it is not of that form, or beyond the last shard.
    pub fn parse(text: &str) -> Result<Shard> {
        let parts = text.split_once('/');
        let shard = parts.and_then(|(index, of)| {
            Some(Shard { index: index.trim().parse().ok()?, of: of.trim().parse().ok()? })
        });
        shard.filter(|shard| (1..=shard.of).contains(&shard.index)).ok_or_else(|| {
            Error::input(format!("--shard {text}: write I/N with I from 1 to N, for example 1/4"))
        })
    }

    /// Whether a point is in this shard.
    pub fn holds(self, point: usize) -> bool {
        point % self.of == self.index - 1
    }
}

/// All points and cells of a sweep, and their seeds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The sweep, with its seed and routers filled in.
    pub spec: Spec,
    /// The keys that differ between points, in order.
    pub keys: Vec<String>,
    /// Points: the first key changes slowest; an extra baseline comes last.
    pub points: Vec<Point>,
    /// Cells: by point, routers in their order within.
    pub cells: Vec<Cell>,
    /// Seeds, ascending.
    pub seeds: Vec<u64>,
}

impl Plan {
    /// Expands a sweep whose seed and routers are known.
    ///
    /// # Errors
    /// Where the sweep is not in order, or has too many points.
    pub fn new(spec: Spec) -> Result<Plan> {
        spec.check()?;
        let seed = spec.seed.unwrap_or(42);
        let seeds = (0..u64::from(spec.seeds)).map(|replicate| seed.wrapping_add(replicate));
        let mut plan = Plan {
            keys: spec.keys(),
            points: expand(&spec, seed)?,
            cells: Vec::new(),
            seeds: seeds.collect(),
            spec,
        };
        plan.cells = plan.cells_of_points();
        let by_name = plan.by_name();
        let outside = |cell: &Cell| plan.lookup(&by_name, cell).is_none();
        if !plan.spec.baseline.is_empty() && plan.cells.first().is_some_and(outside) {
            plan.add_extra();
        }
        plan.compare(&by_name);
        Ok(plan)
    }

    /// Numbers of the points by their settings.
    fn by_name(&self) -> BTreeMap<String, usize> {
        let points = self.points.iter().enumerate();
        points.map(|(number, point)| (name(&point.settings), number)).collect()
    }

    /// The extra point has the settings of the baseline and nothing else.
    fn add_extra(&mut self) {
        self.points.push(Point { settings: self.spec.baseline.clone(), is_extra: true });
        self.cells = self.cells_of_points();
        self.keys.extend(self.spec.baseline.keys().cloned());
        self.keys.sort_unstable();
        self.keys.dedup();
    }

    fn cells_of_points(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (point, Point { settings, .. }) in self.points.iter().enumerate() {
            let mode = settings.get(MODE).or_else(|| self.spec.set.get(MODE));
            for router in mode.map(routers).unwrap_or_default() {
                cells.push(Cell { point, router, baseline: 0 });
            }
        }
        cells
    }

    /// Says for every cell what it is compared with.
    fn compare(&mut self, by_name: &BTreeMap<String, usize>) {
        let fallback = |cell: &Cell| {
            let extra = self.points.iter().position(|point| point.is_extra).unwrap_or(0);
            self.find(extra, &cell.router).or_else(|| self.cells_of(extra).next()).unwrap_or(0)
        };
        let baselines: Vec<usize> = self
            .cells
            .iter()
            .map(|cell| match self.points[cell.point].is_extra {
                true => fallback(cell),
                false => self.lookup(by_name, cell).unwrap_or_else(|| fallback(cell)),
            })
            .collect();
        for (cell, baseline) in self.cells.iter_mut().zip(baselines) {
            cell.baseline = baseline;
        }
    }

    /// The cell that differs from `cell` in the settings of the baseline, if there is one.
    fn lookup(&self, by_name: &BTreeMap<String, usize>, cell: &Cell) -> Option<usize> {
        if self.spec.baseline.is_empty() {
            return None;
        }
        let mode = self.spec.baseline.get(MODE).map(routers);
        let router = mode.as_ref().and_then(|mode| mode.first()).unwrap_or(&cell.router);
        let mut wanted = self.points[cell.point].settings.clone();
        for (key, value) in &self.spec.baseline {
            if wanted.contains_key(key) {
                wanted.insert(key.clone(), value.clone());
            } else if key != MODE {
                return None;
            }
        }
        self.find(*by_name.get(&name(&wanted))?, router)
    }

    /// Number of the cell of a router at a point.
    pub fn find(&self, point: usize, router: &str) -> Option<usize> {
        self.cells_of(point).find(|cell| self.cells[*cell].router == router)
    }

    /// Numbers of the cells of a point.
    pub fn cells_of(&self, point: usize) -> Range<usize> {
        let first = self.cells.partition_point(|cell| cell.point < point);
        first..self.cells.partition_point(|cell| cell.point <= point)
    }

    /// The value of a key at a cell, as shown; empty where the point leaves it to the scenario.
    pub fn shown(&self, cell: usize, key: &str) -> String {
        let settings = &self.points[self.cells[cell].point].settings;
        settings.get(key).map_or(String::new(), axis::show)
    }
}

/// Settings as one text: equal for equal settings, 1 and 1.0 included.
fn name(settings: &Settings) -> String {
    settings.iter().map(|(key, value)| format!("{key}={}\n", axis::show(value))).collect()
}

/// The routers that a value of `router.mode` names.
pub fn routers(mode: &Value) -> Vec<String> {
    let text = axis::show(mode);
    text.split(',').map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect()
}

/// Grid × zipped lists × sample.
fn expand(spec: &Spec, seed: u64) -> Result<Vec<Point>> {
    let mut settings = vec![Settings::new()];
    for (key, values) in &spec.grid {
        let choices = values.iter().map(|value| Settings::from([(key.clone(), value.clone())]));
        settings = combine(settings, &choices.collect::<Vec<_>>())?;
    }
    if let Some(length) = spec.zip.values().map(Vec::len).next() {
        let choice = |place: usize| {
            spec.zip.iter().map(|(key, values)| (key.clone(), values[place].clone())).collect()
        };
        settings = combine(settings, &(0..length).map(choice).collect::<Vec<_>>())?;
    }
    if let Some(sample) = &spec.sample {
        settings = combine(settings, &sample::draw(sample, seed)?)?;
    }
    Ok(settings.into_iter().map(|settings| Point { settings, is_extra: false }).collect())
}

/// Every pair of one of `first` with one of `second`.
fn combine(first: Vec<Settings>, second: &[Settings]) -> Result<Vec<Settings>> {
    if first.len().saturating_mul(second.len()) > MOST_POINTS {
        return Err(Error::input(format!(
            "the sweep has more than {MOST_POINTS} points; give fewer values, or a [sample]"
        )));
    }
    let with = |a: &Settings, b: &Settings| {
        a.iter().chain(b).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    Ok(first.iter().flat_map(|a| second.iter().map(move |b| with(a, b))).collect())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
