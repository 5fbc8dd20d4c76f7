//! Four small bar charts: hit rate, TTFT, ITL, throughput.

use super::PlotRun;
use super::axis::{MEDIUM, SMALL};
use super::canvas::{self, Anchor, Canvas, INK, Point};
use super::style::{MARGIN, color, title};
use crate::error::Result;
use crate::metrics::summary::RunSummary;
use crate::report::format::{number, short};
use crate::stats::mean;

const WIDTH: f64 = 900.0;
/// Room for router names before the bars at most, pixels.
const NAMES: f64 = 150.0;

/// A bar: its length, a second value shown with it, and what is written at its end.
struct Bar {
    length: f64,
    inner: Option<f64>,
    tick: Option<f64>,
    text: String,
}

struct Chart {
    title: &'static str,
    bars: Vec<Bar>,
    /// Value of a bar over the whole width; the greatest length where absent.
    full: Option<f64>,
}

pub(super) fn draw_panel(subtitle: &str, runs: &[PlotRun<'_>]) -> Result<String> {
    let charts = [
        hit_rates(runs),
        ttft(runs),
        simple("ITL p99 (ms)", runs, itl_p99),
        simple("Completed requests per second", runs, throughput),
    ];
    let bar = if runs.len() > 4 { 24.0 } else { 32.0 };
    let height = 34.0 + bar * runs.len().max(1) as f64 + 16.0;
    let size = (WIDTH as u32, (70.0 + 2.0 * height) as u32);
    canvas::draw(size, |canvas| {
        let top = title(canvas, WIDTH, "Routers compared", subtitle)? + 6.0;
        let room = (WIDTH - 3.0 * MARGIN) / 2.0;
        for (index, chart) in charts.iter().enumerate() {
            let left = MARGIN + (index % 2) as f64 * (room + MARGIN);
            let from = (left, top + (index / 2) as f64 * height);
            draw_chart(canvas, from, room, bar, chart, runs)?;
        }
        Ok(())
    })
}

fn draw_chart(
    canvas: &Canvas<'_>,
    (left, top): Point,
    room: f64,
    height: f64,
    chart: &Chart,
    runs: &[PlotRun<'_>],
) -> Result<()> {
    canvas.text(chart.title, (left, top + 10.0), 14.0, Anchor::LeftMiddle)?;
    let texts = chart.bars.iter().map(|bar| bar.text.as_str());
    let text_room = canvas.widest(texts, MEDIUM, room / 2.0)?;
    let names = canvas.widest(runs.iter().map(|run| run.label), SMALL, NAMES)? + 12.0;
    let longest = chart.bars.iter().map(|bar| bar.length).fold(0.0, f64::max);
    let full = chart.full.unwrap_or(longest);
    let full = if full > 0.0 { full } else { 1.0 };
    let scale = (room - names - text_room - 14.0) / full;
    for (index, (bar, run)) in chart.bars.iter().zip(runs).enumerate() {
        let y = top + 30.0 + height * index as f64;
        let label = canvas.fit(run.label, SMALL, NAMES)?;
        let middle = y + 0.4 * height;
        let name_at = (left + names - 8.0, middle);
        canvas.text(&label, name_at, SMALL, Anchor::RightMiddle)?;
        draw_bar(canvas, (left + names, y), 0.8 * height, scale, bar, index)?;
    }
    Ok(())
}

fn draw_bar(
    canvas: &Canvas<'_>,
    (left, y): Point,
    height: f64,
    scale: f64,
    bar: &Bar,
    index: usize,
) -> Result<()> {
    let end = |value: f64| (left + value * scale, y + height);
    let opacity = if bar.inner.is_some() { 0.35 } else { 1.0 };
    canvas.rect((left, y), end(bar.length), color(index), opacity)?;
    if let Some(inner) = bar.inner {
        canvas.rect((left, y), end(inner), color(index), 1.0)?;
    }
    let mut right = end(bar.length).0;
    if let Some(tick) = bar.tick {
        let x = end(tick).0;
        canvas.line(&[(x, y - 2.0), (x, y + height + 2.0)], INK, 2.0)?;
        right = right.max(x);
    }
    let at = (right + 6.0, y + 0.5 * height);
    canvas.text(&bar.text, at, MEDIUM, Anchor::LeftMiddle)
}

fn hit_rates(runs: &[PlotRun<'_>]) -> Chart {
    let bar = |run: &PlotRun<'_>| {
        let rate = average(run, |run| run.prefix_cache.hit_rate);
        let ceiling = average(run, |run| run.prefix_cache.ceiling_hit_rate);
        let percent = |share: f64| number(100.0 * share, 1);
        let text = format!("{} / {}", percent(rate), percent(ceiling));
        Bar {
            length: rate,
            inner: None,
            tick: has_completed(run).then_some(ceiling),
            text: measured(run, text),
        }
    };
    Chart {
        title: "Hit rate / ceiling (% of prompt tokens)",
        bars: runs.iter().map(bar).collect(),
        full: Some(1.0),
    }
}

fn ttft(runs: &[PlotRun<'_>]) -> Chart {
    let bar = |run: &PlotRun<'_>| {
        let p50 = average(run, |run| run.time_to_first_token.p50);
        let p99 = average(run, |run| run.time_to_first_token.p99);
        Bar {
            length: p99,
            inner: Some(p50),
            tick: None,
            text: measured(run, format!("{} / {}", short(p50), short(p99))),
        }
    };
    Chart { title: "TTFT p50 / p99 (ms)", bars: runs.iter().map(bar).collect(), full: None }
}

fn simple(title: &'static str, runs: &[PlotRun<'_>], metric: fn(&RunSummary) -> f64) -> Chart {
    let bar = |run: &PlotRun<'_>| {
        let length = average(run, metric);
        Bar { length, inner: None, tick: None, text: measured(run, short(length)) }
    };
    Chart { title, bars: runs.iter().map(bar).collect(), full: None }
}

fn itl_p99(run: &RunSummary) -> f64 {
    run.inter_token_latency.p99
}

fn throughput(run: &RunSummary) -> f64 {
    run.request_throughput.avg
}

fn average(run: &PlotRun<'_>, metric: impl Fn(&RunSummary) -> f64) -> f64 {
    let values = run.summaries.iter().map(|summary| metric(summary));
    mean(&values.collect::<Vec<f64>>())
}

fn has_completed(run: &PlotRun<'_>) -> bool {
    run.summaries.iter().any(|run| run.requests.completed > 0)
}

fn measured(run: &PlotRun<'_>, text: String) -> String {
    if has_completed(run) { text } else { "none completed".into() }
}
