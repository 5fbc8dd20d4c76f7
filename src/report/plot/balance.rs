//! Balance between workers: every worker a dot, its busy fraction left, its tokens right.

use super::PlotRun;
use super::axis::{Frame, MEDIUM, Scale};
use super::canvas::{self, Anchor, Canvas, INK};
use super::style::{MARGIN, color, title};
use crate::error::Result;
use crate::stats::{mean, quantile};

/// Height of a router's strip, pixels.
const STRIP: f64 = 46.0;
/// Dots of a strip at most; beyond it, that many quantiles stand for the workers.
const DOTS: usize = 300;
const WIDTH: f64 = 800.0;
/// Room for router names before the data at most, pixels.
const NAMES: f64 = 180.0;

pub(super) fn draw_balance(subtitle: &str, runs: &[PlotRun<'_>]) -> Result<String> {
    let strips = STRIP * runs.len().max(1) as f64;
    let size = (WIDTH as u32, (70.0 + strips + 66.0) as u32);
    let about = format!("{subtitle} (dot: one worker; upright line: their mean)");
    let busy: Vec<Vec<f64>> = runs.iter().map(busy_percent).collect();
    let tokens: Vec<Vec<f64>> = runs.iter().map(tokens_percent).collect();
    canvas::draw(size, |canvas| {
        let names = canvas.widest(runs.iter().map(|run| run.label), MEDIUM, NAMES)?;
        let edge = MARGIN + names + 10.0;
        let middle = 0.5 * (edge + WIDTH - 20.0);
        let top = title(canvas, WIDTH, "Balance between workers", &about)? + 12.0;
        let frame = |left, right, x| Frame {
            from: (left, top),
            to: (right, top + strips),
            x,
            y: Scale::linear(0.0, runs.len().max(1) as f64),
        };
        let most = tokens.iter().flatten().copied().fold(100.0, f64::max);
        let left = frame(edge, middle - 16.0, Scale::linear(0.0, 100.0));
        let right = frame(middle + 16.0, WIDTH - 20.0, Scale::from_zero(most));
        left.draw_x(canvas, Some("busy fraction (%)"))?;
        right.draw_x(canvas, Some("tokens handled (% of the mean worker)"))?;
        for (index, run) in runs.iter().enumerate() {
            let y = top + STRIP * (index as f64 + 0.5);
            let label = canvas.fit(run.label, MEDIUM, NAMES)?;
            canvas.text(&label, (edge - 10.0, y), MEDIUM, Anchor::RightMiddle)?;
            strip(canvas, &left, y, &busy[index], index)?;
            strip(canvas, &right, y, &tokens[index], index)?;
        }
        Ok(())
    })
}

/// Busy percentage of every worker over the run of the first seed, as in its summary: of the time
/// from the first arrival to the end.
fn busy_percent(run: &PlotRun<'_>) -> Vec<f64> {
    let measured = run.summaries.first().map(|summary| 1e9 * summary.duration_s);
    let measured = measured.filter(|ns| *ns > 0.0);
    let measured = measured.unwrap_or(run.end.0.max(1) as f64);
    let busy = run.timeline.rows().iter();
    busy.map(|cells| cells.iter().map(|cell| cell.busy_ns).sum::<u64>() as f64)
        .map(|busy_ns| 100.0 * busy_ns / measured)
        .collect()
}

/// Tokens of every worker in percent of their mean.
fn tokens_percent(run: &PlotRun<'_>) -> Vec<f64> {
    let Some(summary) = run.summaries.first() else {
        return Vec::new();
    };
    let tokens = summary.load.tokens_per_worker.iter();
    let tokens: Vec<f64> = tokens.map(|tokens| *tokens as f64).collect();
    let mean = mean(&tokens).max(1.0);
    tokens.iter().map(|tokens| 100.0 * tokens / mean).collect()
}

fn strip(canvas: &Canvas<'_>, frame: &Frame, y: f64, values: &[f64], index: usize) -> Result<()> {
    let dots = if values.len() > DOTS {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let share = |i: usize| i as f64 / (DOTS - 1) as f64;
        (0..DOTS).map(|i| quantile(&sorted, share(i))).collect()
    } else {
        values.to_vec()
    };
    let (radius, opacity) = if dots.len() > 40 { (3.0, 0.5) } else { (4.5, 0.75) };
    for (worker, value) in dots.iter().enumerate() {
        // Spread by the golden ratio: even, whatever the number of workers, and always the same.
        let spread = (worker as f64 * 0.618_034 + 0.5).fract() - 0.5;
        let (x, _) = frame.at((*value, 0.0));
        let at = (x, y + spread * (STRIP - 20.0));
        canvas.dot(at, radius, color(index), opacity)?;
    }
    if dots.is_empty() {
        return Ok(());
    }
    let (x, _) = frame.at((mean(values), 0.0));
    let half = STRIP / 2.0 - 5.0;
    canvas.line(&[(x, y - half), (x, y + half)], INK, 1.5)
}
