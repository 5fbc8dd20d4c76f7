//! Error of a fitted latency model over the fitted time of a step: over the measured time, scatter
//! alone would look like a slope.

use super::axis::{Frame, Scale};
use super::canvas::{self, Canvas};
use super::style::{Key, legend, marker, title};
use crate::calibrate::Fit;
use crate::calibrate::fit::Point;
use crate::error::Result;

const SIZE: (u32, u32) = (800, 480);
/// Errors beyond this are drawn at the edge, percent.
const MOST: f64 = 100.0;

/// Draws the residuals of a fit as SVG; `subtitle` says what was fitted.
///
/// # Errors
/// Only where drawing itself fails, which would be a bug.
pub fn draw_residuals(subtitle: &str, fit: &Fit) -> Result<String> {
    let width = f64::from(SIZE.0);
    canvas::draw(SIZE, |canvas| {
        let top = title(canvas, width, "Fitted step times against measured ones", subtitle)?;
        let keys: Vec<Key<'_>> =
            NAMES.iter().enumerate().map(|(index, name)| Key::Mark(index, name)).collect();
        let top = legend(canvas, width, top, &keys)?;
        draw_points(canvas, top, &fit.points)
    })
}

const NAMES: [&str; 4] =
    ["prefill, fitted", "prefill, held out", "decode, fitted", "decode, held out"];

fn series(point: &Point) -> usize {
    2 * usize::from(!point.is_prefill) + usize::from(point.is_held_out)
}

fn percent(point: &Point) -> f64 {
    100.0 * (point.fitted / point.measured - 1.0)
}

fn draw_points(canvas: &Canvas<'_>, top: f64, points: &[Point]) -> Result<()> {
    let times = || points.iter().map(|point| point.fitted);
    let low = times().min_by(f64::total_cmp).unwrap_or(1.0);
    let high = times().max_by(f64::total_cmp).unwrap_or(1.0);
    let errors = points.iter().map(|point| percent(point).abs());
    let most = errors.fold(10.0, f64::max).min(MOST);
    let frame = Frame {
        from: (76.0, top),
        to: (776.0, f64::from(SIZE.1) - 62.0),
        x: Scale::wide(0.95 * low, 1.05 * high),
        y: Scale::linear(-most, most),
    };
    let scale = if frame.x.is_log() { ", log scale" } else { "" };
    frame.draw_x(canvas, Some(&format!("fitted time of a step (ms{scale})")))?;
    frame.draw_y(canvas, "fitted − measured (% of measured)")?;
    canvas.dashed(&[frame.at((low, 0.0)), frame.at((high, 0.0))], canvas::INK, 1.0)?;
    for point in points {
        let at = frame.at((point.fitted, percent(point).clamp(-most, most)));
        marker(canvas, at, series(point))?;
    }
    Ok(())
}
