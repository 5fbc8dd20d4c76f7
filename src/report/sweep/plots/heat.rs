//! Heat maps: two keys, one metric; the best cell framed, its equals framed thinly, overloaded cells
//! hatched so that nobody reads them as results.

use super::grid::{Grid, Group, Key, at};
use super::over_seeds;
use crate::error::Result;
use crate::report::plot::axis::{MEDIUM, SMALL};
use crate::report::plot::canvas::{self, AXIS, Anchor, Canvas, Point};
use crate::report::plot::style::{MARGIN, title};
use crate::report::sweep::text::plain;
use crate::sweep::{Better, METRICS, Table};
use plotters::style::RGBColor;

const CELL: Point = (92.0, 42.0);
/// Room for the values of the upright key, pixels.
const SIDE: f64 = 96.0;
const MISSING: RGBColor = RGBColor(0xF2, 0xF2, 0xF2);
/// From worst to best: pale enough for dark text.
const WORST: (f64, f64, f64) = (250.0, 250.0, 245.0);
const BEST: (f64, f64, f64) = (96.0, 170.0, 214.0);

/// What all panels of one heat map share.
struct Heat<'a> {
    table: &'a Table,
    place: usize,
    up: &'a Key,
    along: &'a Key,
    /// Least and greatest mean of steady cells.
    range: (f64, f64),
    best: Option<usize>,
    ties: Vec<usize>,
}

pub(super) fn draw(about: &str, table: &Table, grid: &Grid, place: usize) -> Result<String> {
    let (panels, left_out) = grid.panels(table);
    let (up, along) = grid.sides();
    let heat = Heat::new(table, place, (up, along), &panels);
    let panel =
        (SIDE + CELL.0 * along.values.len() as f64 + 30.0, CELL.1 * up.values.len() as f64 + 84.0);
    let columns = if panels.len() > 1 && panel.0 < 560.0 { 2 } else { 1 };
    let lines = panels.len().div_ceil(columns);
    let width = (2.0 * MARGIN + panel.0 * columns as f64).max(660.0);
    let size = (width as u32, (112.0 + panel.1 * lines as f64) as u32);
    canvas::draw(size, |canvas| {
        title(canvas, width, METRICS[place].label, &(about.to_string() + &over_seeds(table)))?;
        let notes = heat.notes(left_out);
        for (index, note) in notes.iter().enumerate() {
            let at = (MARGIN, 55.0 + 17.0 * index as f64);
            canvas.text(
                &canvas.fit(note, SMALL, width - 2.0 * MARGIN)?,
                at,
                SMALL,
                Anchor::LeftTop,
            )?;
        }
        for (index, group) in panels.iter().enumerate() {
            let (column, line) = (index % columns, index / columns);
            let from = (MARGIN + panel.0 * column as f64, 96.0 + panel.1 * line as f64);
            heat.panel(canvas, from, group)?;
        }
        Ok(())
    })
}

impl<'a> Heat<'a> {
    fn new(
        table: &'a Table,
        place: usize,
        (up, along): (&'a Key, &'a Key),
        panels: &[Group],
    ) -> Heat<'a> {
        let cells: Vec<usize> = panels.iter().flat_map(|group| group.cells.clone()).collect();
        let steady = cells.iter().filter(|cell| table.is_steady(**cell));
        let means: Vec<f64> = steady.filter_map(|cell| table.mean(*cell, place)).collect();
        let low = means.iter().copied().fold(f64::INFINITY, f64::min);
        let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let best = table.best(&cells, place);
        let ties = best.map(|best| table.ties(&cells, best, place)).unwrap_or_default();
        Heat { table, place, up, along, range: (low, high), best, ties }
    }

    /// How to read it, and what the baseline has where it is outside the map.
    fn notes(&self, left_out: usize) -> Vec<String> {
        let mut first = vec!["bold frame: best"];
        if self.ties.len() > 1 {
            first.push("thin: not significantly different");
        }
        first.push("hatched: overloaded");
        let mut notes = vec![first.join("; ")];
        let cells = self.table.cells();
        if let Some(cell) =
            (0..cells.len()).find(|cell| self.table.plan.points[cells[*cell].point].is_extra)
        {
            let mean = plain(self.table.mean(cell, self.place), &METRICS[self.place]);
            notes.push(format!("baseline, {}: {mean}", cells[cell].router));
        }
        if left_out > 0 {
            notes[0] += &format!("; {left_out} more panels are in points.csv");
        }
        notes
    }

    fn panel(&self, canvas: &Canvas<'_>, (x, y): Point, group: &Group) -> Result<()> {
        canvas.text(&group.label, (x, y + 10.0), 14.0, Anchor::LeftMiddle)?;
        let (left, top) = (x + SIDE, y + 24.0);
        let bottom = top + CELL.1 * self.up.values.len() as f64;
        for (row, up) in self.up.values.iter().rev().enumerate() {
            let middle = top + CELL.1 * (row as f64 + 0.5);
            let label = canvas.fit(up, SMALL, SIDE - 34.0)?;
            canvas.text(&label, (left - 8.0, middle), SMALL, Anchor::RightMiddle)?;
            for (column, along) in self.along.values.iter().enumerate() {
                let corner = (left + CELL.0 * column as f64, top + CELL.1 * row as f64);
                let cell = at(self.table, group, [(self.up, up), (self.along, along)]);
                self.cell(canvas, corner, cell)?;
            }
        }
        for (column, along) in self.along.values.iter().enumerate() {
            let at = (left + CELL.0 * (column as f64 + 0.5), bottom + 7.0);
            canvas.text(&canvas.fit(along, SMALL, CELL.0)?, at, SMALL, Anchor::CentreTop)?;
        }
        self.frames(canvas, (left, top), group)?;
        let middle = left + 0.5 * CELL.0 * self.along.values.len() as f64;
        canvas.text(&self.along.name, (middle, bottom + 26.0), MEDIUM, Anchor::CentreTop)?;
        canvas.text(&self.up.name, (x + 10.0, 0.5 * (top + bottom)), MEDIUM, Anchor::Upwards)
    }

    /// Frames come last, so that no neighbour covers them.
    fn frames(&self, canvas: &Canvas<'_>, (left, top): Point, group: &Group) -> Result<()> {
        for (row, up) in self.up.values.iter().rev().enumerate() {
            for (column, along) in self.along.values.iter().enumerate() {
                let Some(cell) = at(self.table, group, [(self.up, up), (self.along, along)]) else {
                    continue;
                };
                let width = match self.best == Some(cell) {
                    true => 3.5,
                    false if self.ties.contains(&cell) => 1.2,
                    false => continue,
                };
                let from = (left + CELL.0 * column as f64 + 3.0, top + CELL.1 * row as f64 + 3.0);
                canvas.frame(from, (from.0 + CELL.0 - 6.0, from.1 + CELL.1 - 6.0), width)?;
            }
        }
        Ok(())
    }

    fn cell(&self, canvas: &Canvas<'_>, (x, y): Point, cell: Option<usize>) -> Result<()> {
        let (from, to) = ((x + 1.0, y + 1.0), (x + CELL.0 - 1.0, y + CELL.1 - 1.0));
        let mean = cell.and_then(|cell| self.table.mean(cell, self.place));
        let steady = cell.is_some_and(|cell| self.table.is_steady(cell));
        let color = mean.filter(|_| steady).map_or(MISSING, |mean| self.color(mean));
        canvas.rect(from, to, color, 1.0)?;
        if !steady && mean.is_some() {
            hatch(canvas, from, to)?;
        }
        let failed = cell.is_some_and(|cell| self.table.failure(cell).is_some());
        let text = if failed { "failed".into() } else { plain(mean, &METRICS[self.place]) };
        let middle = (x + 0.5 * CELL.0, y + 0.5 * CELL.1);
        if !steady && mean.is_some() {
            let half = 0.5 * canvas.text_width(&text, MEDIUM)? + 3.0;
            let corner = |side: f64| (middle.0 + side * half, middle.1 + side * 9.0);
            canvas.rect(corner(-1.0), corner(1.0), MISSING, 1.0)?;
        }
        canvas.text(&text, middle, MEDIUM, Anchor::CentreMiddle)
    }

    /// Logarithmic where values span a factor of 5 or more: else one bad corner would hide the rest.
    fn color(&self, mean: f64) -> RGBColor {
        let (low, high) = self.range;
        let share = match low > 0.0 && high > 5.0 * low {
            true => (mean / low).ln() / (high / low).ln(),
            false if high > low => (mean - low) / (high - low),
            false => 0.5,
        };
        let good = match METRICS[self.place].better {
            Better::Lower => 1.0 - share,
            Better::Higher | Better::Neither => share,
        };
        let mix = |worst: f64, best: f64| (worst + good * (best - worst)).round() as u8;
        RGBColor(mix(WORST.0, BEST.0), mix(WORST.1, BEST.1), mix(WORST.2, BEST.2))
    }
}

/// Diagonal lines over a cell.
fn hatch(canvas: &Canvas<'_>, (x0, y0): Point, (x1, y1): Point) -> Result<()> {
    let (width, height) = (x1 - x0, y1 - y0);
    let mut offset = 8.0;
    while offset < width + height {
        let from = (x0 + f64::min(offset, width), y0 + f64::max(offset - width, 0.0));
        let to = (x0 + f64::max(offset - height, 0.0), y0 + f64::min(offset, height));
        canvas.line(&[from, to], AXIS, 0.8)?;
        offset += 10.0;
    }
    Ok(())
}
