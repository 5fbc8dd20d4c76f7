//! Share of requests whose TTFT was at most x, by router.

use super::axis::{Frame, Scale};
use super::canvas::{self, Canvas, Point};
use super::style::{Key, color, legend, marked_line, title};
use crate::error::Result;
use crate::stats::quantile;

const SIZE: (u32, u32) = (800, 480);
/// Points of a curve: more cannot be seen.
const POINTS: usize = 400;

/// A curve and what it is called.
pub(in crate::report) struct Cdf<'a> {
    pub(in crate::report) label: &'a str,
    pub(in crate::report) points: Vec<Point>,
}

pub(in crate::report) fn draw_cdf(subtitle: &str, curves: &[Cdf<'_>]) -> Result<String> {
    draw("Time to first token", subtitle, curves, ("", &[]))
}

/// Curves, and beside each, in its colour, a dashed one; `dashed` says what those are.
pub(in crate::report) fn draw(
    heading: &str,
    subtitle: &str,
    curves: &[Cdf<'_>],
    dashed: (&str, &[Cdf<'_>]),
) -> Result<String> {
    let width = f64::from(SIZE.0);
    canvas::draw(SIZE, |canvas| {
        let top = title(canvas, width, heading, subtitle)?;
        let mut keys: Vec<Key<'_>> =
            curves.iter().enumerate().map(|(index, cdf)| Key::Router(index, cdf.label)).collect();
        if !dashed.1.is_empty() {
            keys.push(Key::Dashed(dashed.0));
        }
        let top = legend(canvas, width, top, &keys)?;
        draw_curves(canvas, top, curves, dashed.1)
    })
}

fn draw_curves(
    canvas: &Canvas<'_>,
    top: f64,
    curves: &[Cdf<'_>],
    dashed: &[Cdf<'_>],
) -> Result<()> {
    let values = || curves.iter().chain(dashed).flat_map(|cdf| &cdf.points).map(|point| point.0);
    let low = values().min_by(f64::total_cmp);
    let high = values().max_by(f64::total_cmp);
    let x = Scale::wide(low.unwrap_or(1.0), high.unwrap_or(1.0));
    let frame = Frame {
        from: (76.0, top),
        to: (776.0, f64::from(SIZE.1) - 62.0),
        x,
        y: Scale::linear(0.0, 100.0),
    };
    let scale = if frame.x.is_log() { ", log scale" } else { "" };
    frame.draw_x(canvas, Some(&format!("time to first token (ms{scale})")))?;
    frame.draw_y(canvas, "requests (%)")?;
    if low.is_none() {
        return frame.say(canvas, "no request completed");
    }
    for (index, cdf) in curves.iter().enumerate() {
        let points: Vec<Point> = cdf.points.iter().map(|point| frame.at(*point)).collect();
        if !points.is_empty() {
            marked_line(canvas, &points, index)?;
        }
    }
    for (index, cdf) in dashed.iter().enumerate().filter(|(_, cdf)| !cdf.points.is_empty()) {
        let points: Vec<Point> = cdf.points.iter().map(|point| frame.at(*point)).collect();
        canvas.dashed(&points, color(index), 1.5)?;
    }
    Ok(())
}

/// A curve through values in any order, ms.
pub(in crate::report) fn of_values<'a>(label: &'a str, ms: &[f64]) -> Cdf<'a> {
    let mut sorted = ms.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let points = if sorted.is_empty() { Vec::new() } else { curve(|q| quantile(&sorted, q)) };
    Cdf { label, points }
}

/// Quantiles as (ms, percent). The outermost ones are left to the table: a single slowest request
/// would set the scale for all.
pub(in crate::report) fn curve(quantile_ms: impl Fn(f64) -> f64) -> Vec<Point> {
    (0..=POINTS)
        .map(|i| 0.001 + 0.998 * i as f64 / POINTS as f64)
        .map(|q| (quantile_ms(q), 100.0 * q))
        .collect()
}
