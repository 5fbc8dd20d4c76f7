//! Live and simulated runs side by side: a table below the live one, and `compare-sim.csv`.

use crate::live::compare_sim::{CompareSim, Compared, Metric};
use crate::report::columns::aligned;
use crate::report::format::{number, short};
use crate::report::line::quoted;
use crate::report::paired::signed;
use crate::stats::mean;
use std::fmt::Write;

/// Arms in one table.
const ARMS: usize = 3;

/// First line of `compare-sim.csv`.
const HEADER: &str = "router,mode,seed,metric,unit,live,simulated,error,error_unit\n";

/// `compare-sim.csv`: a line for every number of every run.
pub(super) fn csv(found: &CompareSim) -> String {
    let mut text = String::from(HEADER);
    for run in &found.runs {
        for metric in &run.metrics {
            let Metric { metric, unit, live, simulated, error, error_unit, .. } = metric;
            let (router, mode, seed) = (quoted(&run.router), quoted(&run.mode), run.seed);
            let _ = writeln!(
                text,
                "{router},{mode},{seed},{metric},{unit},{live:.6},{simulated:.6},{error:.3},{error_unit}"
            );
        }
    }
    text
}

/// The table with what it says in words. Plain text, ends with a newline.
pub fn render(found: &CompareSim) -> String {
    let mut text = head(found);
    let mut arms: Vec<Vec<&Compared>> = Vec::new();
    for run in &found.runs {
        match arms.iter_mut().find(|arm| arm[0].router == run.router) {
            Some(arm) => arm.push(run),
            None => arms.push(vec![run]),
        }
    }
    for some in arms.chunks(ARMS) {
        text.push('\n');
        text += &table(some);
    }
    let not =
        found.not_simulated.iter().map(|arm| format!("{} not simulated: {}", arm.router, arm.why));
    let notes: Vec<String> = not
        .chain(found.cluster.doubts.iter().cloned())
        .chain(found.notes.iter().cloned())
        .collect();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "{note}");
    }
    text
}

fn head(found: &CompareSim) -> String {
    let mut text = match &found.calibration {
        Some(fit) => {
            let error = |error: Option<f64>| error.map_or("-".into(), |error| short(100.0 * error));
            format!(
                "live against simulated: step times from a probe of {} requests in {} s (fit: median error \
                 {} % prefill, {} % decode; {} ms outside the engine)\n",
                found.probe_requests,
                number(found.probe_s, 1),
                error(fit.prefill_error),
                error(fit.decode_error),
                short(fit.front_ms)
            )
        }
        None => format!("live against simulated: step times of {}\n", found.latency),
    };
    let _ = writeln!(text, "  {}", found.cluster.line());
    text
}

/// Arms side by side; of several runs the means.
fn table(arms: &[Vec<&Compared>]) -> String {
    let mut header = vec![String::new()];
    let mut right = vec![false];
    for arm in arms {
        header.extend([arm[0].router.clone(), "simulated".into(), "error".into()]);
        right.extend([true; 3]);
    }
    let mut titles: Vec<(&str, &str)> = Vec::new();
    for metric in arms.iter().flatten().flat_map(|run| &run.metrics) {
        if !titles.iter().any(|(known, _)| *known == metric.metric) {
            titles.push((metric.metric, metric.title));
        }
    }
    let mut rows = vec![header];
    for (metric, title) in titles {
        let mut row = vec![title.to_string()];
        arms.iter().for_each(|arm| row.extend(cells(arm, metric)));
        rows.push(row);
    }
    aligned(&rows, &right)
}

fn cells(arm: &[&Compared], metric: &str) -> [String; 3] {
    let of = |run: &&Compared| run.metrics.iter().find(|one| one.metric == metric).copied();
    let Some(all) = arm.iter().map(of).collect::<Option<Vec<Metric>>>() else {
        return ["-".into(), "-".into(), String::new()];
    };
    let mean = |of: fn(&Metric) -> f64| mean(&all.iter().map(of).collect::<Vec<f64>>());
    let (live, simulated) = (mean(|one| one.live), mean(|one| one.simulated));
    if all[0].unit == "share" {
        let percent = |share: f64| format!("{} %", number(100.0 * share, 1));
        let error = format!("{} pp", signed(100.0 * (simulated - live), 1));
        return [percent(live), percent(simulated), error];
    }
    let error = format!("{} %", signed(100.0 * (simulated / live - 1.0), 1));
    [short(live), short(simulated), error]
}
