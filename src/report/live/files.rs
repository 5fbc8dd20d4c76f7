//! Writes the folder of a live run, after all its runs have ended: rows put together in their order,
//! then summary, workers, timeline, server metrics and plots.

use super::{compare_sim, plots, rows};
use crate::error::{Error, Result};
use crate::live::recorder::LiveOutput;
use crate::live::server::ServerSource;
use crate::live::summary::LiveSummary;
use crate::report::line::Line;
use crate::report::plot;
use crate::report::run_dir::RunDir;
use crate::report::run_files::{DECISIONS, REQUESTS, join};
use std::io;

/// Writes everything but `timing.json` and the exports into `dir`; `outputs` are those of
/// `summary.runs`, in their order, each with its rows ended.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(dir: &RunDir, summary: &LiveSummary, outputs: &[LiveOutput]) -> Result<()> {
    dir.write("scenario.toml", summary.scenario.to_toml().as_bytes())?;
    let json = serde_json::to_vec_pretty(summary).map_err(|why| Error::Run(why.to_string()))?;
    dir.write("summary.json", &json)?;
    join(dir, REQUESTS, &rows::requests_header(), outputs.len())?;
    if summary.scenario.output.decisions {
        join(dir, DECISIONS, "", outputs.len())?;
    }
    table(dir, "workers.csv", &rows::workers_header(), outputs, |output, line, text| {
        for (place, worker) in output.workers.iter().enumerate() {
            let url = summary.live.urls.get(place).map_or("", String::as_str);
            rows::worker(line, text, (place, url), worker)?;
        }
        Ok(())
    })?;
    table(dir, "timeline.csv", &rows::timeline_header(), outputs, |output, line, text| {
        let tells_hits = output.run.prefix_cache.hit_tokens.is_some();
        rows::timeline(line, text, &output.timeline, tells_hits)
    })?;
    if outputs.iter().any(|output| sources(output).next().is_some()) {
        table(dir, "server_metrics.csv", rows::SERVER_HEADER, outputs, |output, line, text| {
            sources(output).try_for_each(|source| rows::server(line, text, source))
        })?;
    }
    if let Some(found) = &summary.compare_sim {
        dir.write("compare-sim.csv", compare_sim::csv(found).as_bytes())?;
    }
    if summary.scenario.output.plots {
        plot::write(dir, &plots::all(summary, outputs)?)?;
    }
    Ok(())
}

fn sources(output: &LiveOutput) -> impl Iterator<Item = &ServerSource> {
    output.run.server.iter().flat_map(|server| &server.sources)
}

/// Writes a file of a few rows per run.
fn table(
    dir: &RunDir,
    name: &str,
    header: &str,
    outputs: &[LiveOutput],
    rows: impl Fn(&LiveOutput, &mut Line, &mut Vec<u8>) -> io::Result<()>,
) -> Result<()> {
    let mut text = header.as_bytes().to_vec();
    for output in outputs {
        let mut line = Line::new(&output.run.router, output.run.seed);
        rows(output, &mut line, &mut text).map_err(|why| Error::Run(why.to_string()))?;
    }
    dir.write(name, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::record::LiveSink;
    use crate::report::live::{ExportHead, LiveWriter, fixture};
    use std::fs;

    #[test]
    fn a_live_run_fills_its_folder_and_the_books_balance() {
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(place.path()).unwrap();
        let records = fixture::records(400, 2);
        let head = ExportHead { aiperf: false, ..fixture::head() };
        let mut writer = LiveWriter::create(&dir, 0, &head).unwrap();
        assert!(!writer.wants_gaps());
        records.iter().for_each(|record| writer.request(record).unwrap());
        let output = fixture::output("live", &records);
        writer.finish(&output).unwrap();
        let summary = fixture::summary(vec![output.run.clone()]);
        write(&dir, &summary, &[output]).unwrap();
        let text = |name: &str| fs::read_to_string(dir.path(name)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text("summary.json")).unwrap();
        let run = &json["runs"][0];
        assert_eq!(json["schema_version"], "1");
        assert_eq!(json["live"]["model"], "mock");
        let count = |word: &str| {
            let ended = |line: &&str| line.contains(word) && line.ends_with(",false");
            text("requests.csv").lines().filter(ended).count() as u64
        };
        let mut sum = 0;
        for status in ["completed", "failed", "cancelled"] {
            assert_eq!(run["requests"][status], count(status), "{status}");
            sum += count(status);
        }
        assert_eq!(run["requests"]["arrived"], sum);
        assert_eq!(run["warm_up_requests"], 400 - sum);
        assert_eq!(text("requests.csv").lines().count(), 401);
        assert_eq!(text("workers.csv").lines().count(), 3);
        assert!(text("server_metrics.csv").lines().count() > 10);
        for plot in ["ttft_cdf", "server_over_time"] {
            assert!(dir.path(&format!("plots/{plot}.png")).exists(), "{plot}");
        }
        assert!(text("scenario.toml").contains("[workload]"));
        assert!(!dir.path("requests.csv.0.part").exists());
    }
}
