//! The trade-off: every cell by two metrics, and the front of those that no other beats in both.

use super::grid::Grid;
use super::lines::cross;
use super::over_seeds;
use crate::error::Result;
use crate::report::plot::axis::{Frame, SMALL, Scale};
use crate::report::plot::canvas::{self, Anchor, Canvas, INK, Point};
use crate::report::plot::style::{Key, legend, marker, title};
use crate::sweep::{Better, METRICS, Table, metric};

/// Names beside cells of the front at most.
const NAMED: usize = 6;

/// A cell in the plane.
struct Dot {
    cell: usize,
    router: usize,
    at: Point,
    steady: bool,
    on_front: bool,
}

pub(super) fn draw(about: &str, table: &Table, grid: &Grid) -> Result<String> {
    const SIZE: (u32, u32) = (800, 520);
    let width = f64::from(SIZE.0);
    let (x, y) = metrics(table)?;
    let mut routers: Vec<&str> = Vec::new();
    for cell in table.cells() {
        if !routers.contains(&cell.router.as_str()) {
            routers.push(&cell.router);
        }
    }
    let dots = dots(table, &routers, x, y);
    canvas::draw(SIZE, |canvas| {
        let name = format!("{} against {}", METRICS[x].label, METRICS[y].label);
        let about = about.to_string() + &over_seeds(table) + "; ×: overloaded, no steady state";
        let top = title(canvas, width, &name, &about)?;
        let mut keys: Vec<Key<'_>> =
            routers.iter().enumerate().map(|(index, name)| Key::Router(index, name)).collect();
        keys.push(Key::Dashed("front: no other is better in both"));
        let top = legend(canvas, width, top, &keys)?;
        let frame = frame(&dots, top, f64::from(SIZE.1));
        frame.draw_x(canvas, Some(METRICS[x].label))?;
        frame.draw_y(canvas, METRICS[y].label)?;
        draw_front(canvas, &frame, &dots)?;
        for dot in &dots {
            let at = frame.at(dot.at);
            if dot.steady { marker(canvas, at, dot.router)? } else { cross(canvas, at)? }
        }
        let lower = METRICS[y].better == Better::Lower;
        name_front(canvas, &frame, &dots, &|cell| grid.name(table, cell), lower)
    })
}

/// Latency against what costs it: what is served, where the load differs between points, else the
/// pace of decoding.
fn metrics(table: &Table) -> Result<(usize, usize)> {
    let load = table.plan.keys.iter().any(|key| key.starts_with("workload."));
    let goodput = metric::find("goodput_per_s")?;
    let has_goodput = (0..table.cells().len()).any(|cell| table.mean(cell, goodput).is_some());
    let second = match (has_goodput, load) {
        (true, _) => "goodput_per_s",
        (false, true) => "output_tokens_per_s",
        (false, false) => "itl_p99_ms",
    };
    Ok((metric::find("ttft_p99_ms")?, metric::find(second)?))
}

fn dots(table: &Table, routers: &[&str], x: usize, y: usize) -> Vec<Dot> {
    let dot = |cell: usize| {
        let router = &table.cells()[cell].router;
        Some(Dot {
            cell,
            router: routers.iter().position(|name| name == router)?,
            at: (table.mean(cell, x)? * METRICS[x].scale, table.mean(cell, y)? * METRICS[y].scale),
            steady: table.is_steady(cell),
            on_front: false,
        })
    };
    let mut dots: Vec<Dot> = (0..table.cells().len()).filter_map(dot).collect();
    let better = METRICS[y].better;
    let front: Vec<bool> = dots.iter().map(|dot| is_front(dot, &dots, better)).collect();
    dots.iter_mut().zip(front).for_each(|(dot, front)| dot.on_front = front);
    dots.sort_by(|a, b| a.at.0.total_cmp(&b.at.0).then(a.cell.cmp(&b.cell)));
    dots
}

/// No steady cell is at least as good in both and better in one.
fn is_front(dot: &Dot, dots: &[Dot], better: Better) -> bool {
    let beats = |other: &Dot| {
        let (dx, dy) = (other.at.0 - dot.at.0, other.at.1 - dot.at.1);
        let dy = if better == Better::Higher { -dy } else { dy };
        other.steady && dx <= 0.0 && dy <= 0.0 && (dx < 0.0 || dy < 0.0)
    };
    dot.steady && !dots.iter().any(beats)
}

/// Spanned by the steady cells, where there are any; overloaded ones stay at its edge.
fn frame(dots: &[Dot], top: f64, height: f64) -> Frame {
    let any_steady = dots.iter().any(|dot| dot.steady);
    let range = |value: fn(&Dot) -> f64| {
        let spanning = || dots.iter().filter(|dot| dot.steady || !any_steady).map(value);
        (spanning().fold(f64::INFINITY, f64::min), spanning().fold(f64::NEG_INFINITY, f64::max))
    };
    Frame {
        from: (90.0, top),
        to: (776.0, height - 62.0),
        x: scale(range(|dot| dot.at.0)),
        y: scale(range(|dot| dot.at.1)),
    }
}

/// With a little room at both ends; logarithmic where values span a factor of 20.
fn scale((low, high): (f64, f64)) -> Scale {
    if low > 0.0 && high > 20.0 * low {
        return Scale::wide(0.8 * low, 1.2 * high);
    }
    let edge = 0.08 * (high - low);
    Scale::linear((low - edge).max(0.0), high + edge)
}

fn draw_front(canvas: &Canvas<'_>, frame: &Frame, dots: &[Dot]) -> Result<()> {
    let front: Vec<Point> =
        dots.iter().filter(|dot| dot.on_front).map(|dot| frame.at(dot.at)).collect();
    if front.len() > 1 { canvas.dashed(&front, INK, 1.5) } else { Ok(()) }
}

/// Names of the cells of the front, on the side where no other cell can be, as long as they do not
/// run into each other.
fn name_front(
    canvas: &Canvas<'_>,
    frame: &Frame,
    dots: &[Dot],
    name: &dyn Fn(usize) -> String,
    lower: bool,
) -> Result<()> {
    let dy = if lower { 19.0 } else { -11.0 };
    let mut named: Vec<Point> = Vec::new();
    for dot in dots.iter().filter(|dot| dot.on_front) {
        let (x, y) = frame.at(dot.at);
        let text = canvas.fit(&name(dot.cell), SMALL, 260.0)?;
        let width = canvas.text_width(&text, SMALL)?;
        let near = |(other, height): &Point| (other - x).abs() < width && (height - y).abs() < 15.0;
        if named.len() == NAMED || named.iter().any(near) {
            continue;
        }
        named.push((x, y));
        let (at, anchor) = match x - width - 12.0 > frame.from.0 {
            true => ((x - 7.0, y + dy), Anchor::RightMiddle),
            false => ((x + 7.0, y + dy), Anchor::LeftMiddle),
        };
        canvas.text(&text, at, SMALL, anchor)?;
    }
    Ok(())
}
