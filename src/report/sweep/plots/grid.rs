//! Which keys span a plot, and how the cells of a sweep fall into panels and lines.

use crate::report::sweep::text::short_names;
use crate::sweep::plan::MODE;
use crate::sweep::{Table, axis};

/// Keys that are load: more of them leads to a knee.
const LOADS: &[&str] = &[
    "workload.arrival.rate",
    "workload.arrival.concurrency",
    "workload.arrival.sessions",
    "workload.speedup",
];

/// Values along a side of a heat map at most.
const MOST_VALUES: usize = 16;
/// Panels of a heat map, and lines of a plot, at most.
pub const MOST_PANELS: usize = 6;
/// Lines at most: more colours cannot be told apart.
pub const MOST_LINES: usize = 8;

/// A swept key with its different values, in their order.
#[derive(Clone, Debug)]
pub struct Key {
    /// Dotted.
    pub key: String,
    /// Its last part.
    pub name: String,
    /// As shown.
    pub values: Vec<String>,
}

/// The keys with two values or more.
#[derive(Clone, Debug)]
pub struct Grid {
    keys: Vec<Key>,
    several_routers: bool,
}

/// Cells that agree in all that a panel or line holds fixed.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they agree in.
    pub label: String,
    /// Their numbers.
    pub cells: Vec<usize>,
}

/// What lines are drawn of.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Along the horizontal axis.
    pub key: Key,
    /// Whether that is load.
    pub is_load: bool,
    /// One line each.
    pub groups: Vec<Group>,
    /// Lines that there is no room for.
    pub left_out: usize,
}

/// Cells of points that are swept, not extra.
fn swept_cells(table: &Table) -> impl Iterator<Item = usize> {
    let extra = |cell: usize| table.plan.points[table.cells()[cell].point].is_extra;
    (0..table.cells().len()).filter(move |cell| !extra(*cell))
}

impl Grid {
    /// The keys of a sweep.
    pub fn of(table: &Table) -> Grid {
        let names = short_names(&table.plan.keys);
        let key = |(key, name): (&String, String)| {
            let mut values: Vec<String> = Vec::new();
            for cell in swept_cells(table) {
                let value = table.plan.shown(cell, key);
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            Key { key: key.clone(), name, values }
        };
        let keys = table.plan.keys.iter().zip(names).map(key);
        let first = swept_cells(table).next().map(|cell| &table.cells()[cell].router);
        Grid {
            several_routers: swept_cells(table)
                .any(|cell| Some(&table.cells()[cell].router) != first),
            keys: keys.filter(|key| key.key != MODE && key.values.len() > 1).collect(),
        }
    }

    /// Whether the first two keys span a full grid that can be read.
    pub fn has_heat(&self) -> bool {
        self.keys.len() >= 2 && self.keys.iter().take(2).all(|key| key.values.len() <= MOST_VALUES)
    }

    /// The keys of a heat map: up, along.
    pub fn sides(&self) -> (&Key, &Key) {
        (&self.keys[0], &self.keys[1])
    }

    /// The panels of a heat map, and how many there is no room for.
    pub fn panels(&self, table: &Table) -> (Vec<Group>, usize) {
        let fixed: Vec<&Key> = self.keys.iter().skip(2).collect();
        cut(self.groups(table, &fixed), MOST_PANELS)
    }

    /// Lines over the load, else over the only key; `None` where there is no such key of numbers.
    pub fn lines(&self, table: &Table) -> Option<Lines> {
        let load = self.keys.iter().find(|key| LOADS.contains(&key.key.as_str()));
        let key = load.or_else(|| self.keys.first().filter(|_| self.keys.len() == 1))?;
        let numbers = |value: &String| value.parse::<f64>().is_ok();
        if !key.values.iter().all(numbers) {
            return None;
        }
        let fixed: Vec<&Key> = self.keys.iter().filter(|other| other.key != key.key).collect();
        let (groups, left_out) = cut(self.groups(table, &fixed), MOST_LINES);
        Some(Lines { key: key.clone(), is_load: load.is_some(), groups, left_out })
    }

    /// All swept cells by the values of `fixed` and by router.
    fn groups(&self, table: &Table, fixed: &[&Key]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for cell in swept_cells(table) {
            let label = self.label(table, cell, fixed);
            match groups.iter_mut().find(|group| group.label == label) {
                Some(group) => group.cells.push(cell),
                None => groups.push(Group { label, cells: vec![cell] }),
            }
        }
        groups
    }

    fn label(&self, table: &Table, cell: usize, fixed: &[&Key]) -> String {
        let mut parts = Vec::new();
        if self.several_routers || fixed.is_empty() {
            parts.push(table.cells()[cell].router.clone());
        }
        let value = |key: &&Key| format!("{} {}", key.name, table.plan.shown(cell, &key.key));
        parts.extend(fixed.iter().map(value));
        parts.join(", ")
    }

    /// What sets a cell apart, in a few words.
    pub fn name(&self, table: &Table, cell: usize) -> String {
        let keys: Vec<&Key> = self.keys.iter().collect();
        self.label(table, cell, &keys)
    }
}

fn cut(mut groups: Vec<Group>, most: usize) -> (Vec<Group>, usize) {
    let left_out = groups.len().saturating_sub(most);
    groups.truncate(most);
    (groups, left_out)
}

/// The cell of a group with these values, if any.
pub fn at(table: &Table, group: &Group, sides: [(&Key, &str); 2]) -> Option<usize> {
    let is_at = |cell: &&usize| {
        sides.iter().all(|(key, value)| table.plan.shown(**cell, &key.key) == *value)
    };
    group.cells.iter().find(is_at).copied()
}

/// The value of a key at a cell as a number.
pub fn number(table: &Table, cell: usize, key: &Key) -> Option<f64> {
    let settings = &table.plan.points[table.cells()[cell].point].settings;
    settings.get(&key.key).and_then(axis::number)
}
