//! Plots of a live run: TTFT as a distribution, and throughput, TTFT, hit rate and the servers' own
//! gauges over time.

use crate::error::Result;
use crate::live::compare_sim::CompareSim;
use crate::live::recorder::LiveOutput;
use crate::live::server::{GaugeSample, ServerSource};
use crate::live::summary::LiveSummary;
use crate::live::timeline::LiveCell;
use crate::metrics::intervals::Sums;
use crate::report::format::{describe_load, plural};
use crate::report::plot::Plot;
use crate::report::plot::axis::{Frame, Scale};
use crate::report::plot::canvas::{self, Canvas, Point};
use crate::report::plot::over_time::{Clock, merged, within};
use crate::report::plot::style::{Key, color, legend, marked_line, title};
use crate::report::plot::ttft_cdf::{self, Cdf, curve, draw_cdf, of_values};
use crate::units::Nanos;
use hdrhistogram::Histogram;

const WIDTH: f64 = 800.0;

/// A line over time, in the colour of the `index`-th run; x in ns.
struct Curve {
    index: usize,
    dashed: bool,
    points: Vec<Point>,
}

/// A diagram of a picture: one or several share the time axis.
struct Panel {
    y: &'static str,
    /// Where the axis ends; at the greatest value where absent.
    top: Option<f64>,
    curves: Vec<Curve>,
    /// What to say where there is nothing to draw.
    empty: &'static str,
}

/// TTFT of the runs that were simulated, measured and simulated: all runs of an arm together.
fn simulated_ttft(about: &str, found: &CompareSim, outputs: &[LiveOutput]) -> Result<String> {
    let mut arms: Vec<(&str, Histogram<u64>, Vec<f64>)> = Vec::new();
    for run in &found.runs {
        let Some(live) = outputs.get(run.place) else { continue };
        match arms.iter_mut().find(|(label, ..)| *label == run.router) {
            Some((_, measured, simulated)) => {
                // Both histograms grow by themselves.
                let _ = measured.add(&live.ttft);
                simulated.extend(&run.ttft_ms);
            }
            None => arms.push((&run.router, live.ttft.clone(), run.ttft_ms.clone())),
        }
    }
    let measured: Vec<Cdf<'_>> = arms.iter().map(|(label, ttft, _)| cdf(label, ttft)).collect();
    let simulated: Vec<Cdf<'_>> = arms.iter().map(|(label, _, ms)| of_values(label, ms)).collect();
    ttft_cdf::draw(
        "Time to first token, measured and simulated",
        about,
        &measured,
        ("simulated", &simulated),
    )
}

/// Draws all plots. `outputs` are those of `summary.runs`, in their order.
pub(super) fn all(summary: &LiveSummary, outputs: &[LiveOutput]) -> Result<Vec<Plot>> {
    let sent = outputs.first().map_or(0, |output| output.run.requests.arrived);
    let endpoints = plural(summary.live.urls.len() as u64, "endpoint");
    let about = format!("{}, {endpoints}", describe_load(&summary.scenario, sent));
    let keys: Vec<Key<'_>> = outputs
        .iter()
        .enumerate()
        .map(|(index, output)| Key::Router(index, &output.run.label))
        .collect();
    let plot = |name, svg: Result<String>| svg.map(|svg| Plot { name, svg });
    let panels = |heading, keys: &[Key<'_>], panels: &[Panel]| {
        draw_panels((heading, &about), keys, &clock(outputs), panels)
    };
    let mut plots = vec![
        plot("ttft_cdf", ttft_curves(&about, outputs))?,
        plot(
            "throughput_over_time",
            panels("Throughput and requests in flight over time", &keys, &throughput(outputs)),
        )?,
        plot("ttft_over_time", panels("TTFT over time", &keys, &[ttft(outputs)]))?,
    ];
    let mut with_expected = keys;
    with_expected.push(Key::Dashed("expected: one infinite cache"));
    let hits = panels("Prefix cache hit rate over time", &with_expected, &[hit_rate(outputs)]);
    plots.push(plot("hit_rate_over_time", hits)?);
    let names = server_names(outputs);
    if !names.is_empty() {
        let keys: Vec<Key<'_>> =
            names.iter().enumerate().map(|(index, name)| Key::Router(index, name)).collect();
        let svg = panels("What the servers say of themselves", &keys, &server(outputs));
        plots.push(plot("server_over_time", svg)?);
    }
    if let Some(found) = summary.compare_sim.as_ref().filter(|found| !found.runs.is_empty()) {
        plots.push(plot("compare_sim_ttft", simulated_ttft(&about, found, outputs))?);
    }
    Ok(plots)
}

fn clock(outputs: &[LiveOutput]) -> Clock {
    let ends = outputs.iter().map(|output| output.timeline.end());
    Clock::until(ends.max().unwrap_or(Nanos::ZERO))
}

fn ttft_curves(about: &str, outputs: &[LiveOutput]) -> Result<String> {
    let scheduled: Vec<String> =
        outputs.iter().map(|output| format!("{}, from the schedule", output.run.label)).collect();
    let mut curves: Vec<Cdf<'_>> = Vec::new();
    for (output, scheduled) in outputs.iter().zip(&scheduled) {
        curves.push(cdf(&output.run.label, &output.ttft));
        curves.push(cdf(scheduled, &output.scheduled_ttft));
    }
    draw_cdf(about, &curves)
}

fn cdf<'a>(label: &'a str, ttft: &Histogram<u64>) -> Cdf<'a> {
    let at = |q: f64| ttft.value_at_quantile(q) as f64 / 1e6;
    Cdf { label, points: if ttft.is_empty() { Vec::new() } else { curve(at) } }
}

/// A value of all endpoints together over time: of the sums of each interval and its length in
/// seconds; `None` where there is none.
fn over_time(
    outputs: &[LiveOutput],
    dashed: bool,
    value: fn(&LiveCell, f64) -> Option<f64>,
) -> impl Iterator<Item = Curve> {
    outputs.iter().enumerate().map(move |(index, output)| {
        let intervals = output.timeline.intervals();
        let mut points = Vec::new();
        for (middle, length, range) in merged(intervals, output.timeline.end()) {
            let mut sums = LiveCell::default();
            for row in intervals.rows() {
                within(row, range.clone()).iter().for_each(|cell| sums.add(cell));
            }
            points.extend(value(&sums, length / 1e9).map(|value| (middle, value)));
        }
        Curve { index, dashed, points }
    })
}

fn throughput(outputs: &[LiveOutput]) -> [Panel; 2] {
    let rate = over_time(outputs, false, |cell, seconds| Some(cell.completed as f64 / seconds));
    let in_flight =
        over_time(outputs, false, |cell, seconds| Some(cell.in_flight_ns as f64 / 1e9 / seconds));
    let panel = |y, curves| Panel { y, top: None, curves, empty: "no request was sent" };
    [panel("completed/s", rate.collect()), panel("in flight", in_flight.collect())]
}

fn ttft(outputs: &[LiveOutput]) -> Panel {
    let mean = |cell: &LiveCell, _: f64| {
        (cell.ttft_count > 0).then(|| cell.ttft_ns as f64 / cell.ttft_count as f64 / 1e6)
    };
    Panel {
        y: "mean TTFT of requests sent then (ms)",
        top: None,
        curves: over_time(outputs, false, mean).collect(),
        empty: "no request got a token",
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

fn hit_rate(outputs: &[LiveOutput]) -> Panel {
    let expected = over_time(outputs, true, |cell, _| {
        percent(cell.expected_hit_tokens, cell.planned_prompt_tokens)
    });
    let observed =
        over_time(outputs, false, |cell, _| percent(cell.hit_tokens, cell.prompt_tokens));
    // Where no response told of hits, none observed is not none.
    let told = |curve: &Curve| outputs[curve.index].run.prefix_cache.hit_tokens.is_some();
    Panel {
        y: "hit rate (% of prompt tokens)",
        top: Some(100.0),
        curves: expected.chain(observed.filter(told)).collect(),
        empty: "no request completed",
    }
}

/// Metrics URLs, with the run's label where there are several runs.
fn server_names(outputs: &[LiveOutput]) -> Vec<String> {
    let mut names = Vec::new();
    for output in outputs {
        for source in output.run.server.iter().flat_map(|server| &server.sources) {
            let label = &output.run.label;
            let one = outputs.len() == 1;
            names.push(if one { source.url.clone() } else { format!("{label}: {}", source.url) });
        }
    }
    names
}

fn server(outputs: &[LiveOutput]) -> [Panel; 3] {
    let sources =
        || outputs.iter().flat_map(|output| &output.run.server).flat_map(|server| &server.sources);
    let panel = |y, top, gauge: fn(&GaugeSample) -> Option<f64>| {
        let curve = |(index, source): (usize, &ServerSource)| {
            let points = source.series.iter();
            let points = points.filter_map(|sample| Some((sample.at_s * 1e9, gauge(sample)?)));
            Curve { index, dashed: false, points: points.collect() }
        };
        let curves = sources().enumerate().map(curve).collect();
        Panel { y, top, curves, empty: "not reported" }
    };
    [
        panel("running", None, |sample| sample.running),
        panel("waiting", None, |sample| sample.waiting),
        panel("KV in use (%)", Some(100.0), |sample| sample.kv_usage.map(|share| 100.0 * share)),
    ]
}

fn draw_panels(
    (heading, about): (&str, &str),
    keys: &[Key<'_>],
    clock: &Clock,
    panels: &[Panel],
) -> Result<String> {
    let height = if panels.len() == 1 { 340.0 } else { 170.0 };
    let lines = keys.len().div_ceil(2) as f64;
    let size = (WIDTH as u32, (130.0 + 21.0 * lines + height * panels.len() as f64) as u32);
    canvas::draw(size, |canvas| {
        let top = title(canvas, WIDTH, heading, about)?;
        let top = legend(canvas, WIDTH, top, keys)?;
        let room = (f64::from(size.1) - 62.0 - top) / panels.len() as f64;
        for (place, panel) in panels.iter().enumerate() {
            let above = top + room * place as f64;
            let last = place + 1 == panels.len();
            let below = above + room - if last { 0.0 } else { 18.0 };
            draw_panel(canvas, (above, below), last, clock, panel)?;
        }
        Ok(())
    })
}

fn draw_panel(
    canvas: &Canvas<'_>,
    (above, below): (f64, f64),
    last: bool,
    clock: &Clock,
    panel: &Panel,
) -> Result<()> {
    let values = panel.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    let most = panel.top.unwrap_or_else(|| values.fold(0.0, f64::max));
    let frame = Frame {
        from: (76.0, above),
        to: (776.0, below),
        x: Scale::linear(0.0, clock.end()),
        y: Scale::from_zero(most),
    };
    frame.draw_x(canvas, last.then(|| clock.title()).as_deref())?;
    frame.draw_y(canvas, panel.y)?;
    if panel.curves.iter().all(|curve| curve.points.is_empty()) {
        return frame.say(canvas, panel.empty);
    }
    for curve in panel.curves.iter().filter(|curve| !curve.points.is_empty()) {
        let points = curve.points.iter().map(|(ns, value)| frame.at((ns / clock.unit_ns, *value)));
        let points: Vec<Point> = points.collect();
        if curve.dashed {
            canvas.dashed(&points, color(curve.index), 1.5)?;
        } else {
            marked_line(canvas, &points, curve.index)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::live::fixture;
    use crate::report::plot::png;
    use crate::report::run_dir::RunDir;

    fn drawn(name: &str, outputs: &[LiveOutput]) -> Vec<Plot> {
        let runs = outputs.iter().map(|output| output.run.clone()).collect();
        let plots = all(&fixture::summary(runs), outputs).unwrap();
        if let Ok(folder) = std::env::var("KVROUTE_PLOTS") {
            let dir = RunDir::create(&std::path::Path::new(&folder).join(name)).unwrap();
            for plot in &plots {
                dir.write(&format!("{}.png", plot.name), &png(&plot.svg).unwrap()).unwrap();
            }
        }
        plots
    }

    #[test]
    fn one_run_and_several_can_be_drawn() {
        let one = fixture::output("live", &fixture::records(2000, 2));
        let plots = drawn("live-one", std::slice::from_ref(&one));
        assert_eq!(plots.len(), 5);
        assert!(plots[0].svg.contains("live, from the schedule"));
        assert_eq!(plots, drawn("live-again", std::slice::from_ref(&one)));
        let other = fixture::output("round-robin", &fixture::records(500, 4));
        drawn("live-two", &[one, other]);
    }

    #[test]
    fn nothing_completed_says_so() {
        let mut empty = fixture::output("live", &[]);
        empty.run.server = None;
        let plots = drawn("live-empty", &[empty]);
        assert_eq!(plots.len(), 4, "no server, no plot of it");
        assert!(
            plots
                .iter()
                .all(|plot| plot.svg.contains(">no request") || plot.svg.contains("\nno request")),
            "an empty plot says why"
        );
    }
}
