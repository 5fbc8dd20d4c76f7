//! Drawing in logical pixels on plotters' SVG backend, and PNG from the SVG.
//!
//! The backend knows whole coordinates only, which shows as steps in flat curves. So everything is
//! drawn [`FINE`] times larger, and the head of the SVG scales it back.

use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::prelude::{Color as _, DashedLineSeries, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    FontFamily, FontStyle, FontTransform, IntoFont, RGBAColor, RGBColor, ShapeStyle, TextStyle,
    register_font,
};
use resvg::{tiny_skia, usvg};
use std::sync::{Arc, Once};

/// Drawn units per logical pixel.
const FINE: f64 = 4.0;
/// Pixels of a PNG per logical pixel.
const PNG_SCALE: f32 = 2.0;
const FONT: &str = "sans-serif";

/// Colour of text.
pub const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Colour of axes.
pub const AXIS: RGBColor = RGBColor(0x77, 0x77, 0x77);
/// Colour of grid lines.
pub const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);

/// A point in logical pixels from the top left.
pub type Point = (f64, f64);

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    LeftMiddle,
    RightMiddle,
    CentreMiddle,
    CentreTop,
    LeftTop,
    /// Turned to read upwards, centred on the point.
    Upwards,
}

/// A drawing in the making.
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws an SVG of `width` × `height` logical pixels on white.
///
/// # Errors
/// Where the embedded font cannot be used: a bug of ours, told rather than drawn wrongly.
pub fn draw(
    (width, height): (u32, u32),
    paint: impl FnOnce(&Canvas<'_>) -> Result<()>,
) -> Result<String> {
    register();
    let fine = (width * FINE as u32, height * FINE as u32);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, fine).into_drawing_area();
        area.fill(&plotters::style::WHITE).map_err(failed)?;
        let canvas = Canvas { area };
        paint(&canvas)?;
        canvas.area.present().map_err(failed)?;
    }
    let head = |(w, h): (u32, u32)| format!("width=\"{w}\" height=\"{h}\"");
    Ok(svg.replacen(&head(fine), &head((width, height)), 1))
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A failure shows as an error of the first text drawn.
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
    });
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Run(format!("a plot could not be drawn: {why}"))
}

fn fine((x, y): Point) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

fn stroke(color: RGBAColor, width: f64) -> ShapeStyle {
    color.stroke_width((width * FINE).round() as u32)
}

impl Canvas<'_> {
    /// Lines from point to point.
    pub fn line(&self, points: &[Point], color: RGBColor, width: f64) -> Result<()> {
        let path: Vec<_> = points.iter().copied().map(fine).collect();
        let style = stroke(color.to_rgba(), width);
        self.area.draw(&PathElement::new(path, style)).map_err(failed)
    }

    /// A dashed line.
    pub fn dashed(&self, points: &[Point], color: RGBColor, width: f64) -> Result<()> {
        let path: Vec<_> = points.iter().copied().map(fine).collect();
        let (dash, gap) = ((7.0 * FINE) as u32, (4.0 * FINE) as u32);
        let style = stroke(color.to_rgba(), width);
        for piece in DashedLineSeries::new(path, dash, gap, style) {
            self.area.draw(&piece).map_err(failed)?;
        }
        Ok(())
    }

    /// A filled rectangle between two corners.
    pub fn rect(&self, from: Point, to: Point, color: RGBColor, opacity: f64) -> Result<()> {
        let corners = [fine(from), fine(to)];
        let style = color.mix(opacity).filled();
        self.area.draw(&Rectangle::new(corners, style)).map_err(failed)
    }

    /// The outline of a rectangle between two corners.
    pub fn frame(&self, (x0, y0): Point, (x1, y1): Point, width: f64) -> Result<()> {
        self.line(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0), (x1, y0)], INK, width)
    }

    /// A filled polygon.
    pub fn polygon(&self, points: &[Point], color: RGBColor, opacity: f64) -> Result<()> {
        let path: Vec<_> = points.iter().copied().map(fine).collect();
        let style = color.mix(opacity).filled();
        self.area.draw(&Polygon::new(path, style)).map_err(failed)
    }

    /// A filled circle.
    pub fn dot(&self, at: Point, radius: f64, color: RGBColor, opacity: f64) -> Result<()> {
        let style = color.mix(opacity).filled();
        let circle = Circle::new(fine(at), (radius * FINE) as u32, style);
        self.area.draw(&circle).map_err(failed)
    }

    /// One line of text.
    pub fn text(&self, text: &str, at: Point, size: f64, anchor: Anchor) -> Result<()> {
        let (h, v) = match anchor {
            Anchor::LeftMiddle => (HPos::Left, VPos::Center),
            Anchor::RightMiddle => (HPos::Right, VPos::Center),
            Anchor::CentreMiddle | Anchor::Upwards => (HPos::Center, VPos::Center),
            Anchor::CentreTop => (HPos::Center, VPos::Top),
            Anchor::LeftTop => (HPos::Left, VPos::Top),
        };
        let mut style = text_style(size).pos(Pos::new(h, v));
        if matches!(anchor, Anchor::Upwards) {
            style = style.transform(FontTransform::Rotate270);
        }
        self.area.draw_text(text, &style, fine(at)).map_err(failed)
    }

    /// Width of a line of text, a little overestimated.
    pub fn text_width(&self, text: &str, size: f64) -> Result<f64> {
        let style = text_style(size);
        let (width, _) = self.area.estimate_text_size(text, &style).map_err(failed)?;
        Ok(f64::from(width) / FINE)
    }

    /// `text`, shortened in the middle where it is wider than `room`: names differ at their ends.
    pub fn fit(&self, text: &str, size: f64, room: f64) -> Result<String> {
        let letters: Vec<char> = text.chars().collect();
        let mut shown = text.to_string();
        let mut keep = letters.len();
        while self.text_width(&shown, size)? > room && keep > 2 {
            keep -= 1;
            let (head, tail) = (keep.div_ceil(2), letters.len() - keep / 2);
            shown = letters[..head].iter().chain(['…'].iter()).chain(&letters[tail..]).collect();
        }
        Ok(shown)
    }

    /// Width of the widest of `texts`, but at most `most`.
    pub fn widest<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t str>,
        size: f64,
        most: f64,
    ) -> Result<f64> {
        let mut widest: f64 = 0.0;
        for text in texts {
            widest = widest.max(self.text_width(text, size)?);
        }
        Ok(widest.min(most))
    }
}

/// plotters gives SVG text of size / 1.24; undone here, so that sizes are true pixels.
fn text_style(size: f64) -> TextStyle<'static> {
    let font = (FontFamily::Name(FONT), size * FINE * 1.24).into_font();
    TextStyle::from(font).color(&INK)
}

/// Renders an SVG of ours, with the same font, at twice its size.
///
/// # Errors
/// Where the SVG cannot be read.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_source(usvg::fontdb::Source::Binary(Arc::new(dejavu::sans::regular())));
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        font_family: "DejaVu Sans".into(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(failed)?;
    let size =
        tree.size().to_int_size().scale_by(PNG_SCALE).ok_or_else(|| failed("it has no size"))?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| failed("it is too large"))?;
    let scale = tiny_skia::Transform::from_scale(PNG_SCALE, PNG_SCALE);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(failed)
}
