//! Tables that compare: metrics by groups of runs, each group against the first.
//!
//! A cell is the mean over the runs of a group. With several runs the difference is the mean of the
//! paired differences (same seed, same workload) with its 95 % Student interval, and "n.s." (not
//! significant) marks an interval that contains 0.

use crate::report::format::{number, short};
use crate::stats::{interval_95, mean};
use std::fmt::Write;

/// Routers beyond this width go into a second table below.
pub(super) const WIDTH: usize = 110;

/// The runs of one router, seeds ascending.
pub(super) struct Group<'a, R> {
    pub(super) label: &'a str,
    pub(super) runs: Vec<&'a R>,
}

impl<R> Group<'_, R> {
    /// `metric` of every seed, where all seeds have it.
    pub(super) fn values(&self, metric: Metric<R>) -> Option<Vec<f64>> {
        self.runs.iter().map(|run| metric(run)).collect()
    }

    /// `metric` averaged over seeds.
    pub(super) fn mean(&self, metric: Metric<R>) -> Option<f64> {
        self.values(metric).map(|values| mean(&values))
    }
}

/// A run as a column sees it.
pub(super) trait Labelled {
    /// What tables call its router or arm.
    fn label(&self) -> &str;
}

/// Runs by label, in the order of their first appearance.
pub(super) fn groups<R: Labelled>(runs: &[R]) -> Vec<Group<'_, R>> {
    let mut groups: Vec<Group<'_, R>> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|group| group.label == run.label()) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { label: run.label(), runs: vec![run] }),
        }
    }
    groups
}

/// A number of a run; `None` where the run has none.
pub(super) type Metric<R> = fn(&R) -> Option<f64>;

/// How a row's values and differences are printed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Share of 1, shown in percent; differences in percentage points.
    Share,
    /// A quantity; differences in percent of the first router's.
    Quantity,
    /// A count; differences are counts.
    Count,
}

/// A row of the table.
pub(super) struct Row<R> {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) metric: Metric<R>,
    /// What stands where there is no value.
    pub(super) missing: &'static str,
}

/// A row whose missing values are shown as a dash.
pub(super) const fn row<R>(name: &'static str, kind: Kind, metric: Metric<R>) -> Row<R> {
    Row { name, kind, metric, missing: "-" }
}

/// The columns of `groups` under the names of `rows`: the first group, and each other against it, in as
/// many tables as [`WIDTH`] asks for.
pub(super) fn write<R>(text: &mut String, groups: &[Group<'_, R>], rows: &[&Row<R>]) {
    let Some((base, others)) = groups.split_first() else { return };
    let labels = labels(rows);
    let first = column(base, base, rows);
    for block in blocks(&labels, &first, base, others, rows) {
        text.push('\n');
        join(text, &block);
    }
}

/// Parts joined by commas, broken before [`WIDTH`].
pub(super) fn wrap(parts: &[String]) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for part in parts {
        if used > 0 && used + part.chars().count() + 2 > WIDTH {
            text.push_str(",\n  ");
            used = 2;
        } else if used > 0 {
            text.push_str(", ");
            used += 2;
        }
        text.push_str(part);
        used += part.chars().count();
    }
    text + "\n"
}

/// A column of the table, all cells of one width.
pub(super) type Column = Vec<String>;

fn labels<R>(rows: &[&Row<R>]) -> Column {
    let names = std::iter::once("").chain(rows.iter().map(|row| row.name));
    pad(names.map(String::from).collect(), false)
}

/// A router's column: values right-aligned, and behind them the difference against `base`.
fn column<R>(group: &Group<'_, R>, base: &Group<'_, R>, rows: &[&Row<R>]) -> Column {
    let values = rows.iter().map(|row| value(row, group)).collect();
    let differences = if std::ptr::eq(group, base) {
        vec![String::new(); rows.len()]
    } else {
        rows.iter().map(|row| difference(row, group, base)).collect()
    };
    let cells = std::iter::zip(pad(values, true), pad(differences, false))
        .map(|(value, difference)| format!("{value} {difference}").trim_end().to_string());
    let title = group.label.to_string();
    let mut column = pad(cells.collect(), false);
    let width = column.iter().map(|cell| cell.chars().count()).max();
    column.insert(0, format!("{title:<0$}", width.unwrap_or(0)));
    pad(column, false)
}

pub(super) fn pad(cells: Vec<String>, right: bool) -> Column {
    let width = cells.iter().map(|cell| cell.chars().count()).max();
    let width = width.unwrap_or(0);
    let fill = |cell: String| match right {
        true => format!("{cell:>width$}"),
        false => format!("{cell:<width$}"),
    };
    cells.into_iter().map(fill).collect()
}

/// Splits the routers over as many tables as [`WIDTH`] asks for; each begins with the first router.
fn blocks<R>(
    labels: &Column,
    first: &Column,
    base: &Group<'_, R>,
    others: &[Group<'_, R>],
    rows: &[&Row<R>],
) -> Vec<Vec<Column>> {
    let width = |column: &Column| column.first().map_or(0, |cell| cell.chars().count() + 3);
    let start = || vec![labels.clone(), first.clone()];
    let mut blocks = vec![start()];
    for other in others {
        let next = column(other, base, rows);
        let used: usize = blocks.last().into_iter().flatten().map(&width).sum();
        let is_full = blocks.last().is_some_and(|block| block.len() > 2);
        if is_full && used + width(&next) > WIDTH + 3 {
            blocks.push(start());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(next);
        }
    }
    blocks
}

pub(super) fn join(text: &mut String, columns: &[Column]) {
    let height = columns.first().map_or(0, Vec::len);
    for line in 0..height {
        let cells: Vec<&str> = columns.iter().map(|column| column[line].as_str()).collect();
        let _ = writeln!(text, "{}", cells.join("   ").trim_end());
    }
}

fn value<R>(row: &Row<R>, group: &Group<'_, R>) -> String {
    let Some(mean) = group.mean(row.metric) else {
        return row.missing.into();
    };
    match row.kind {
        Kind::Share => format!("{} %", number(100.0 * mean, 1)),
        Kind::Quantity => short(mean),
        Kind::Count => number(mean, usize::from(mean.fract() != 0.0)),
    }
}

fn difference<R>(row: &Row<R>, group: &Group<'_, R>, base: &Group<'_, R>) -> String {
    let pair = group.values(row.metric).zip(base.values(row.metric));
    let Some((values, base)) = pair else {
        return String::new();
    };
    let paired: Vec<f64> = std::iter::zip(&values, &base).map(|(a, b)| a - b).collect();
    if paired.iter().all(|difference| *difference == 0.0) {
        return "same".into();
    }
    let (scale, unit) = match row.kind {
        Kind::Share => (100.0, " pp"),
        Kind::Count => (1.0, ""),
        Kind::Quantity if mean(&base) == 0.0 => return String::new(),
        Kind::Quantity => (100.0 / mean(&base), " %"),
    };
    let interval = interval_95(&paired);
    let size = interval.mean * scale;
    let decimals = usize::from(match row.kind {
        Kind::Share => true,
        Kind::Quantity => size.abs() < 9.95,
        Kind::Count => paired.len() > 1,
    });
    let shown = format!("{}{unit}", signed(size, decimals));
    if paired.len() < 2 {
        return shown;
    }
    let half_width = number(interval.half_width * scale, decimals);
    let mark = if interval.contains_zero() { " n.s." } else { "" };
    format!("{shown} ± {half_width}{mark}")
}

pub(super) fn signed(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    if value < 0.0 { text } else { format!("+{text}") }
}
