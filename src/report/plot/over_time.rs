//! Hit rate and worker load over the run, from the timeline.

use super::PlotRun;
use super::axis::{Frame, MEDIUM, Scale};
use super::canvas::{self, Anchor, Canvas, INK, Point};
use super::style::{Key, MARGIN, color, legend, marked_line, title};
use crate::error::Result;
use crate::metrics::intervals::{Intervals, Sums};
use crate::metrics::timeline::Cell;
use crate::stats::quantile;
use crate::units::Nanos;
use std::ops::Range;

/// Points along the run at most; the timeline's intervals are merged down to them.
const POINTS: usize = 64;

/// Hit rate of all workers together, with the ceiling.
pub(super) fn hit_rate(subtitle: &str, runs: &[PlotRun<'_>]) -> Result<String> {
    const SIZE: (u32, u32) = (800, 480);
    let width = f64::from(SIZE.0);
    let curves: Vec<Vec<Point>> = runs.iter().map(hit_curve).collect();
    canvas::draw(SIZE, |canvas| {
        let top = title(canvas, width, "Prefix cache hit rate over time", subtitle)?;
        let mut keys: Vec<Key<'_>> =
            runs.iter().enumerate().map(|(index, run)| Key::Router(index, run.label)).collect();
        keys.push(Key::Dashed("ceiling: one infinite cache, whole run"));
        let top = legend(canvas, width, top, &keys)?;
        let clock = Clock::of(runs);
        let frame = Frame {
            from: (76.0, top),
            to: (776.0, f64::from(SIZE.1) - 62.0),
            x: Scale::linear(0.0, clock.end()),
            y: Scale::from_zero(highest_rate(runs, &curves).min(100.0)),
        };
        frame.draw_x(canvas, Some(&clock.title()))?;
        frame.draw_y(canvas, "hit rate (% of prompt tokens)")?;
        if curves.iter().all(Vec::is_empty) {
            return frame.say(canvas, "no request was admitted");
        }
        draw_ceiling(canvas, &frame, runs)?;
        draw_curves(canvas, &frame, &clock, &curves)
    })
}

fn draw_curves(
    canvas: &Canvas<'_>,
    frame: &Frame,
    clock: &Clock,
    curves: &[Vec<Point>],
) -> Result<()> {
    for (index, curve) in curves.iter().enumerate() {
        let points: Vec<Point> =
            curve.iter().map(|(ns, share)| frame.at((ns / clock.unit_ns, 100.0 * share))).collect();
        if !points.is_empty() {
            marked_line(canvas, &points, index)?;
        }
    }
    Ok(())
}

/// The greatest ceiling of the runs: under load they complete slightly different requests.
fn ceiling(runs: &[PlotRun<'_>]) -> f64 {
    let ceilings = runs.iter().filter_map(|run| run.summaries.first());
    ceilings.map(|summary| summary.prefix_cache.ceiling_hit_rate).fold(0.0, f64::max)
}

/// What the axis must reach, in per cent: ceiling and curves, and 10 % where all is about 0.
fn highest_rate(runs: &[PlotRun<'_>], curves: &[Vec<Point>]) -> f64 {
    let rates = curves.iter().flatten().map(|(_, share)| *share);
    100.0 * rates.fold(ceiling(runs), f64::max).max(0.1)
}

fn draw_ceiling(canvas: &Canvas<'_>, frame: &Frame, runs: &[PlotRun<'_>]) -> Result<()> {
    let ceiling = ceiling(runs);
    let (_, y) = frame.at((0.0, 100.0 * ceiling));
    canvas.dashed(&[(frame.from.0, y), (frame.to.0, y)], INK, 1.5)
}

/// One panel per router: the median worker and, as a band, all workers from least to most busy.
pub(super) fn load(subtitle: &str, runs: &[PlotRun<'_>]) -> Result<String> {
    const PANEL: f64 = 128.0;
    let columns = if runs.len() > 3 { 2 } else { 1 };
    let lines = runs.len().max(1).div_ceil(columns);
    let size = (800, (110.0 + PANEL * lines as f64) as u32);
    let clock = Clock::of(runs);
    canvas::draw(size, |canvas| {
        let about = format!("{subtitle} (line: median worker, band: least to most busy worker)");
        let top = title(canvas, 800.0, "Worker load over time", &about)?;
        let room = (800.0 - MARGIN) / columns as f64;
        for (index, run) in runs.iter().enumerate() {
            let (column, line) = (index % columns, index / columns);
            let left = 66.0 + room * column as f64;
            let from = (left, top + 26.0 + PANEL * line as f64);
            let frame = Frame {
                from,
                to: (left + room - 72.0, from.1 + PANEL - 34.0),
                x: Scale::linear(0.0, clock.end()),
                y: Scale::linear(0.0, 100.0),
            };
            let is_lowest = index + columns >= runs.len();
            frame.draw_x(canvas, is_lowest.then(|| clock.title()).as_deref())?;
            frame.draw_y(canvas, "busy (%)")?;
            draw_load(canvas, &frame, &clock, run, index)?;
        }
        Ok(())
    })
}

fn draw_load(
    canvas: &Canvas<'_>,
    frame: &Frame,
    clock: &Clock,
    run: &PlotRun<'_>,
    index: usize,
) -> Result<()> {
    let label = canvas.fit(run.label, MEDIUM, frame.to.0 - frame.from.0)?;
    let above = (frame.from.0, frame.from.1 - 11.0);
    canvas.text(&label, above, MEDIUM, Anchor::LeftMiddle)?;
    let at = |ns: f64, share: f64| frame.at((ns / clock.unit_ns, 100.0 * share));
    let bins = load_bins(run);
    let upper = bins.iter().map(|(ns, shares)| at(*ns, quantile(shares, 1.0)));
    let lower = bins.iter().map(|(ns, shares)| at(*ns, quantile(shares, 0.0)));
    let median = bins.iter().map(|(ns, shares)| at(*ns, quantile(shares, 0.5)));
    let band: Vec<Point> = upper.chain(lower.rev()).collect();
    if band.is_empty() {
        return frame.say(canvas, "no worker did anything");
    }
    canvas.polygon(&band, color(index), 0.25)?;
    canvas.line(&median.collect::<Vec<_>>(), color(index), 2.0)
}

/// The unit of the time axis.
pub(in crate::report) struct Clock {
    end_ns: f64,
    pub(in crate::report) unit_ns: f64,
    unit: &'static str,
}

impl Clock {
    fn of(runs: &[PlotRun<'_>]) -> Clock {
        Clock::until(runs.iter().map(|run| run.end).max().unwrap_or(Nanos::ZERO))
    }

    /// For runs that end by then.
    pub(in crate::report) fn until(end: Nanos) -> Clock {
        let end_ns = end.0 as f64;
        let (unit_ns, unit) = match end_ns / 1e9 {
            s if s <= 2.0 => (1e6, "ms"),
            s if s <= 900.0 => (1e9, "s"),
            s if s <= 10_800.0 => (60e9, "minutes"),
            _ => (3600e9, "hours"),
        };
        Clock { end_ns, unit_ns, unit }
    }

    pub(in crate::report) fn end(&self) -> f64 {
        self.end_ns / self.unit_ns
    }

    pub(in crate::report) fn title(&self) -> String {
        format!("time since the start of the run ({})", self.unit)
    }
}

/// Middle and length in ns, and the timeline's intervals, of every merged interval. A last one that
/// is less than half full is left out: its few requests would draw a spike.
pub(in crate::report) fn merged<S: Sums>(
    timeline: &Intervals<S>,
    end: Nanos,
) -> Vec<(f64, f64, Range<usize>)> {
    let intervals = timeline.len();
    let group = intervals.div_ceil(POINTS).max(1);
    let interval = timeline.interval().0;
    let mut merged = Vec::new();
    for first in (0..intervals).step_by(group) {
        let start = first as u64 * interval;
        let full = group as u64 * interval;
        let length = full.min(end.0.saturating_sub(start));
        if first == 0 || length * 2 >= full {
            let middle = start as f64 + 0.5 * length as f64;
            merged.push((middle, length.max(1) as f64, first..first + group));
        }
    }
    merged
}

pub(in crate::report) fn within<S>(cells: &[S], range: Range<usize>) -> &[S] {
    &cells[range.start.min(cells.len())..range.end.min(cells.len())]
}

/// (ns, hit rate) wherever prompts were admitted.
fn hit_curve(run: &PlotRun<'_>) -> Vec<Point> {
    let rows = run.timeline.rows();
    let share = |range: Range<usize>| {
        let cells = || rows.iter().flat_map(|row| within(row, range.clone()));
        let prompts: u64 = cells().map(|cell| cell.prompt_tokens).sum();
        let hits: u64 = cells().map(|cell| cell.hit_tokens).sum();
        (prompts > 0).then(|| hits as f64 / prompts as f64)
    };
    merged(run.timeline.intervals(), run.end)
        .into_iter()
        .filter_map(|(middle, _, range)| Some((middle, share(range)?)))
        .collect()
}

/// Per merged interval: its middle in ns, and the busy shares of all workers, ascending.
fn load_bins(run: &PlotRun<'_>) -> Vec<(f64, Vec<f64>)> {
    let mut bins = Vec::new();
    for (middle, length, range) in merged(run.timeline.intervals(), run.end) {
        let busy = |row: &Vec<Cell>| {
            let cells = within(row, range.clone());
            cells.iter().map(|cell| cell.busy_ns).sum::<u64>() as f64 / length
        };
        let mut shares: Vec<f64> = run.timeline.rows().iter().map(busy).collect();
        shares.sort_unstable_by(f64::total_cmp);
        bins.push((middle, shares));
    }
    bins
}
