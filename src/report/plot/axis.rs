//! Axes: a scale from values to pixels, ticks people would choose, and the frame around the data.

use super::canvas::{AXIS, Anchor, Canvas, GRID, Point};
use crate::error::Result;
use crate::report::format::number;
use plotters::style::WHITE;

/// Size of tick labels, pixels.
pub const SMALL: f64 = 12.0;
/// Size of axis titles and legends, pixels.
pub const MEDIUM: f64 = 13.0;

/// Values to positions between 0 and 1, straight or logarithmic.
#[derive(Clone, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// A straight scale; an empty range is widened.
    pub fn linear(low: f64, high: f64) -> Scale {
        let high = if high > low { high } else { low + 1.0 };
        Scale { low, high, log: false }
    }

    /// A straight scale from 0 to the first tick at or above `high`.
    pub fn from_zero(high: f64) -> Scale {
        let rough = Scale::linear(0.0, high);
        let step = rough.step();
        Scale::linear(0.0, (rough.high / step - 1e-9).ceil() * step)
    }

    /// Logarithmic where the values span a factor of 20 or more, else straight from 0.
    pub fn wide(low: f64, high: f64) -> Scale {
        let low = low.max(1e-3);
        if high < low * 20.0 {
            return Scale::from_zero(high);
        }
        Scale { low, high, log: true }
    }

    /// Whether it is logarithmic.
    pub fn is_log(&self) -> bool {
        self.log
    }

    /// Position of a value, 0 to 1 within the range.
    pub fn position(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// Ticks with their labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        if self.log {
            return self.log_ticks();
        }
        let step = self.step();
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        let tick = |index: i64| index as f64 * step;
        (first..=last).map(|index| (tick(index), number(tick(index), decimals))).collect()
    }

    /// 1, 2 or 5 times a power of ten, for about five ticks.
    fn step(&self) -> f64 {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let factor = match rough / power {
            f if f < 1.5 => 1.0,
            f if f < 3.5 => 2.0,
            f if f < 7.5 => 5.0,
            _ => 10.0,
        };
        factor * power
    }

    /// Powers of ten, with 2 and 5 between them where there is room.
    fn log_ticks(&self) -> Vec<(f64, String)> {
        let decades = (self.high / self.low).log10();
        let factors: &[f64] = match decades {
            d if d <= 2.7 => &[1.0, 2.0, 5.0],
            d if d <= 4.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10() as i32);
        let mut ticks = Vec::new();
        for power in first..=last {
            for factor in factors {
                let value = factor * 10f64.powi(power);
                if (self.low * 0.999..=self.high * 1.001).contains(&value) {
                    let decimals = (-power).max(0) as usize;
                    ticks.push((value, number(value, decimals)));
                }
            }
        }
        ticks
    }
}

/// The rectangle of the data with its two scales.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Top left corner.
    pub from: Point,
    /// Bottom right corner.
    pub to: Point,
    /// Horizontal scale.
    pub x: Scale,
    /// Vertical scale.
    pub y: Scale,
}

impl Frame {
    /// Where the point (`x`, `y`) of the data is drawn.
    pub fn at(&self, (x, y): Point) -> Point {
        let right = self.x.position(x);
        let up = self.y.position(y);
        (
            self.from.0 + right * (self.to.0 - self.from.0),
            self.to.1 - up * (self.to.1 - self.from.1),
        )
    }

    /// Grid and labels of the horizontal axis; its title where it has one.
    pub fn draw_x(&self, canvas: &Canvas<'_>, title: Option<&str>) -> Result<()> {
        for (value, label) in self.x.ticks() {
            let (x, _) = self.at((value, 0.0));
            canvas.line(&[(x, self.from.1), (x, self.to.1)], GRID, 1.0)?;
            if title.is_some() {
                canvas.text(&label, (x, self.to.1 + 7.0), SMALL, Anchor::CentreTop)?;
            }
        }
        if let Some(title) = title {
            let middle = 0.5 * (self.from.0 + self.to.0);
            canvas.text(title, (middle, self.to.1 + 28.0), MEDIUM, Anchor::CentreTop)?;
        }
        let corner = (self.from.0, self.to.1);
        canvas.line(&[corner, self.to], AXIS, 1.0)
    }

    /// Grid and labels of the vertical axis; its title to the left of them.
    pub fn draw_y(&self, canvas: &Canvas<'_>, title: &str) -> Result<()> {
        let mut widest: f64 = 0.0;
        for (value, label) in self.y.ticks() {
            let (_, y) = self.at((0.0, value));
            canvas.line(&[(self.from.0, y), (self.to.0, y)], GRID, 1.0)?;
            canvas.text(&label, (self.from.0 - 7.0, y), SMALL, Anchor::RightMiddle)?;
            widest = widest.max(canvas.text_width(&label, SMALL)?);
        }
        let at = (self.from.0 - widest - 19.0, 0.5 * (self.from.1 + self.to.1));
        canvas.text(title, at, MEDIUM, Anchor::Upwards)?;
        let corner = (self.from.0, self.to.1);
        canvas.line(&[self.from, corner, self.to], AXIS, 1.0)
    }

    /// Says in the middle why there is nothing to see.
    pub fn say(&self, canvas: &Canvas<'_>, text: &str) -> Result<()> {
        let middle = (0.5 * (self.from.0 + self.to.0), 0.5 * (self.from.1 + self.to.1));
        let half = 0.5 * canvas.text_width(text, 15.0)? + 6.0;
        let corner = |side: f64| (middle.0 + side * half, middle.1 + side * 12.0);
        canvas.rect(corner(-1.0), corner(1.0), WHITE, 1.0)?;
        canvas.text(text, middle, 15.0, Anchor::CentreMiddle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Scale::linear(0.0, 100.0)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(&Scale::linear(0.0, 0.9)), ["0.0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(
            labels(&Scale::from_zero(4300.0)),
            ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]
        );
        assert_eq!(labels(&Scale::wide(8.0, 300.0)), ["10", "20", "50", "100", "200"]);
        assert_eq!(
            labels(&Scale::wide(0.5, 1e6)),
            ["1", "10", "100", "1,000", "10,000", "100,000", "1,000,000"]
        );
        assert_eq!(labels(&Scale::linear(0.0, 0.0)), labels(&Scale::linear(0.0, 1.0)));
    }

    #[test]
    fn narrow_ranges_stay_straight() {
        assert!(!Scale::wide(10.0, 100.0).is_log());
        assert!(Scale::wide(0.0, 100.0).is_log());
    }
}
