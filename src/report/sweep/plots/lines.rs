//! Lines over one key with their 95 % bands, and the knee of latency over load.

use super::grid::{Group, Lines, number};
use super::over_seeds;
use crate::error::Result;
use crate::report::plot::axis::{Frame, SMALL, Scale};
use crate::report::plot::canvas::{self, AXIS, Anchor, Canvas, Point};
use crate::report::plot::style::{Key, MARGIN, color, legend, marker, title};
use crate::sweep::{METRICS, Table, metric};

const PANELS: &[&str] = &["ttft_p50_ms", "ttft_p99_ms", "hit_rate", "output_tokens_per_s"];
const KNEE: &str = "ttft_p99_ms";

/// A point of a line: where, between which ends of its interval, and whether it is a result.
struct Dot {
    x: f64,
    mean: f64,
    ends: Option<(f64, f64)>,
    steady: bool,
}

/// The lines of one metric.
type Curves = Vec<Vec<Dot>>;

/// Four metrics.
pub(super) fn draw(about: &str, table: &Table, lines: &Lines) -> Result<String> {
    const SIZE: (u32, u32) = (960, 760);
    let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
    canvas::draw(SIZE, |canvas| {
        let top = head(canvas, width, &format!("By {}", lines.key.key), about, table, lines)?;
        let room = (0.5 * width, 0.5 * (height - top));
        for (index, name) in PANELS.iter().enumerate() {
            let place = metric::find(name)?;
            let corner =
                (room.0 * (index % 2) as f64 + 84.0, top + room.1 * (index / 2) as f64 + 8.0);
            let to = (corner.0 + room.0 - 104.0, corner.1 + room.1 - 66.0);
            panel(canvas, (corner, to), &curves(table, lines, place), (lines, place, false))?;
        }
        Ok(())
    })
}

/// Latency over load on a logarithmic scale.
pub(super) fn draw_knee(about: &str, table: &Table, lines: &Lines) -> Result<String> {
    const SIZE: (u32, u32) = (800, 500);
    let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
    let place = metric::find(KNEE)?;
    canvas::draw(SIZE, |canvas| {
        let name = format!("Where the load becomes too much: {}", METRICS[place].label);
        let top = head(canvas, width, &name, about, table, lines)?;
        let rectangle = ((90.0, top), (width - 24.0, height - 62.0));
        panel(canvas, rectangle, &curves(table, lines, place), (lines, place, true))
    })
}

fn head(
    canvas: &Canvas<'_>,
    width: f64,
    name: &str,
    about: &str,
    table: &Table,
    lines: &Lines,
) -> Result<f64> {
    let mut about = about.to_string() + &over_seeds(table);
    if table.plan.seeds.len() > 1 {
        about += ", band: 95 % interval";
    }
    if lines.left_out > 0 {
        about += &format!("; {} more lines are in points.csv", lines.left_out);
    }
    let top = title(canvas, width, name, &about)?;
    canvas.text("×: overloaded, no steady state", (MARGIN, top - 4.0), SMALL, Anchor::LeftTop)?;
    let router = |(index, group): (usize, &Group)| (index, group.label.clone());
    let labels: Vec<(usize, String)> = lines.groups.iter().enumerate().map(router).collect();
    let keys: Vec<Key<'_>> =
        labels.iter().map(|(index, label)| Key::Router(*index, label)).collect();
    legend(canvas, width, top + 16.0, &keys)
}

fn curves(table: &Table, lines: &Lines, place: usize) -> Curves {
    let scale = METRICS[place].scale;
    let dot = |cell: &usize| {
        let estimate = table.estimate(*cell, place)?;
        let (mean, half) = (estimate.t.mean * scale, estimate.t.half_width * scale);
        Some(Dot {
            x: number(table, *cell, &lines.key)?,
            mean,
            ends: half.is_finite().then(|| ((mean - half).max(0.0), mean + half)),
            steady: table.is_steady(*cell),
        })
    };
    let curve = |group: &Group| {
        let mut dots: Vec<Dot> = group.cells.iter().filter_map(dot).collect();
        dots.sort_by(|a, b| a.x.total_cmp(&b.x));
        dots
    };
    lines.groups.iter().map(curve).collect()
}

fn panel(
    canvas: &Canvas<'_>,
    (from, to): (Point, Point),
    curves: &Curves,
    (lines, place, log): (&Lines, usize, bool),
) -> Result<()> {
    let dots = || curves.iter().flatten();
    let xs = || dots().map(|dot| dot.x);
    let low = dots().map(|dot| dot.mean).fold(f64::INFINITY, f64::min);
    let top = |dot: &Dot| dot.ends.filter(|_| dot.steady).map_or(dot.mean, |ends| ends.1);
    let high = dots().map(top).fold(0.0, f64::max);
    let least = xs().fold(f64::INFINITY, f64::min);
    let y = if log { Scale::wide(0.8 * low, 1.1 * high) } else { Scale::from_zero(high) };
    let x = Scale::linear(least, xs().fold(least, f64::max));
    let frame = Frame { from, to, x, y };
    frame.draw_x(canvas, Some(axis_title(&lines.key.key)))?;
    let scale = if frame.y.is_log() { ", log scale" } else { "" };
    frame.draw_y(canvas, &format!("{}{scale}", METRICS[place].label))?;
    for (index, curve) in curves.iter().enumerate() {
        draw_curve(canvas, &frame, curve, index)?;
    }
    Ok(())
}

/// Load in words; other keys as they are written.
fn axis_title(key: &str) -> &str {
    match key {
        "workload.arrival.rate" => "arrivals (session starts) per second",
        "workload.arrival.concurrency" => "requests in flight",
        "workload.arrival.sessions" => "sessions in flight",
        "workload.speedup" => "speed-up of the trace",
        other => other,
    }
}

fn draw_curve(canvas: &Canvas<'_>, frame: &Frame, curve: &[Dot], index: usize) -> Result<()> {
    let edge = |end: fn(&(f64, f64)) -> f64| {
        curve.iter().filter_map(move |dot| dot.ends.map(|ends| frame.at((dot.x, end(&ends)))))
    };
    let mut band: Vec<Point> = edge(|ends| ends.0).collect();
    band.extend(edge(|ends| ends.1).collect::<Vec<_>>().into_iter().rev());
    if band.len() > 3 {
        canvas.polygon(&band, color(index), 0.16)?;
    }
    let points: Vec<Point> = curve.iter().map(|dot| frame.at((dot.x, dot.mean))).collect();
    if points.len() > 1 {
        canvas.line(&points, color(index), 2.0)?;
    }
    for (dot, point) in curve.iter().zip(&points) {
        match dot.steady {
            true => marker(canvas, *point, index)?,
            false => cross(canvas, *point)?,
        }
    }
    Ok(())
}

/// The mark of a point that is no result.
pub(super) fn cross(canvas: &Canvas<'_>, (x, y): Point) -> Result<()> {
    for side in [-1.0, 1.0] {
        canvas.line(&[(x - 5.0, y - 5.0 * side), (x + 5.0, y + 5.0 * side)], AXIS, 2.0)?;
    }
    Ok(())
}
