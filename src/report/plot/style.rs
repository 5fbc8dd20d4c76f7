//! What is common to all plots: colours, markers, title and legend.

use super::axis::{MEDIUM, SMALL};
use super::canvas::{Anchor, Canvas, INK, Point};
use crate::error::Result;
use plotters::style::RGBColor;

/// Left and right margin of a plot, pixels.
pub const MARGIN: f64 = 16.0;

/// Okabe and Ito's colours, told apart by colour-blind readers; their yellow is too pale for lines
/// on white and is replaced by grey.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x00, 0x00, 0x00),
    RGBColor(0x80, 0x80, 0x80),
];

/// Colour of the `index`-th router.
pub fn color(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

/// Marker of the `index`-th router: six shapes, so that shape and colour repeat apart.
pub fn marker(canvas: &Canvas<'_>, (x, y): Point, index: usize) -> Result<()> {
    let corners: &[(f64, f64)] = match index % 6 {
        0 => return canvas.dot((x, y), 4.0, color(index), 1.0),
        1 => &[(-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)],
        2 => &[(0.0, -5.0), (4.6, 3.4), (-4.6, 3.4)],
        3 => &[(0.0, -5.2), (5.2, 0.0), (0.0, 5.2), (-5.2, 0.0)],
        4 => &[(0.0, 5.0), (4.6, -3.4), (-4.6, -3.4)],
        _ => &[(-5.5, -2.0), (5.5, -2.0), (5.5, 2.0), (-5.5, 2.0)],
    };
    let shape: Vec<Point> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
    canvas.polygon(&shape, color(index), 1.0)
}

/// A router's line with markers along it, staggered so that those of equal lines do not coincide.
pub fn marked_line(canvas: &Canvas<'_>, points: &[Point], index: usize) -> Result<()> {
    canvas.line(points, color(index), 2.0)?;
    let every = (points.len() / 8).max(1);
    let first = (index * every / 4).min(points.len().saturating_sub(1));
    for point in points.iter().skip(first).step_by(every) {
        marker(canvas, *point, index)?;
    }
    Ok(())
}

/// An entry of a legend.
pub enum Key<'a> {
    /// The `index`-th router, shown by its line and marker.
    Router(usize, &'a str),
    /// The marker of the `index`-th series, without a line.
    Mark(usize, &'a str),
    /// The dashed line.
    Dashed(&'a str),
}

/// Title and subtitle; returns where the next thing may begin.
pub fn title(canvas: &Canvas<'_>, width: f64, title: &str, subtitle: &str) -> Result<f64> {
    let room = width - 2.0 * MARGIN;
    let (big, small) = (canvas.fit(title, 18.0, room)?, canvas.fit(subtitle, SMALL, room)?);
    canvas.text(&big, (MARGIN, 12.0), 18.0, Anchor::LeftTop)?;
    canvas.text(&small, (MARGIN, 37.0), SMALL, Anchor::LeftTop)?;
    Ok(58.0)
}

/// A legend above the data, in as many lines as it needs; returns where the next thing may begin.
pub fn legend(canvas: &Canvas<'_>, width: f64, top: f64, keys: &[Key<'_>]) -> Result<f64> {
    const LINE: f64 = 28.0;
    let (mut x, mut y) = (MARGIN, top + 10.0);
    for key in keys {
        let (Key::Router(_, text) | Key::Mark(_, text) | Key::Dashed(text)) = key;
        let text = canvas.fit(text, MEDIUM, 300.0)?;
        let needs = LINE + 6.0 + canvas.text_width(&text, MEDIUM)?;
        if x > MARGIN && x + needs > width - MARGIN {
            (x, y) = (MARGIN, y + 21.0);
        }
        let line = [(x, y), (x + LINE, y)];
        match key {
            Key::Router(index, _) => {
                canvas.line(&line, color(*index), 2.0)?;
                marker(canvas, (x + LINE / 2.0, y), *index)?;
            }
            Key::Mark(index, _) => marker(canvas, (x + LINE / 2.0, y), *index)?,
            Key::Dashed(_) => canvas.dashed(&line, INK, 1.5)?,
        }
        canvas.text(&text, (x + LINE + 6.0, y), MEDIUM, Anchor::LeftMiddle)?;
        x += needs + 18.0;
    }
    Ok(y + 26.0)
}
