use super::*;
use crate::metrics::summary::{Distribution, RequestCounts};
use crate::report::fixture::{run, with_plot_runs};

const THREE: &[(&str, f64, f64)] =
    &[("kv", 0.63, 1.0), ("round-robin", 0.22, 2.9), ("random", 0.2, 3.4)];

#[test]
fn plots_are_well_formed_and_the_same_every_time() {
    let draw = || with_plot_runs(THREE, 4, |runs| all("shared-prefix", runs).unwrap());
    let plots = draw();
    assert_eq!(plots, draw());
    assert_eq!(plots.len(), 5);
    for plot in &plots {
        assert!(plot.svg.starts_with("<svg width=\""), "{}", plot.name);
        assert!(plot.svg.contains("round-robin"), "{}", plot.name);
        let picture = png(&plot.svg).unwrap();
        assert_eq!(picture[..8], *b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
        let expected = if plot.name == "summary" { 1800 } else { 1600 };
        assert_eq!(number(16), expected, "{}", plot.name);
        assert!(picture.len() > 5000, "{}", plot.name);
    }
}

#[test]
fn nothing_completed_says_so() {
    let mut empty = run("kv", 1, 0.0, 1.0);
    empty.requests = RequestCounts::default();
    empty.time_to_first_token = Distribution::default();
    empty.inter_token_latency = Distribution::default();
    empty.request_throughput.avg = 0.0;
    empty.load.tokens_per_worker = vec![0; 4];
    let timeline = Timeline::new(4);
    let runs = [PlotRun {
        label: "kv",
        ttft_ms: Vec::new(),
        timeline: &timeline,
        end: Nanos::ZERO,
        summaries: vec![&empty],
    }];
    let plots = all("nothing", &runs).unwrap();
    let named = |name| plots.iter().find(|plot| plot.name == name).unwrap();
    assert!(named("ttft_cdf").svg.contains("no request completed"));
    assert!(named("summary").svg.contains("none completed"));
    save("empty", &plots);
    assert!(all("no routers", &[]).is_ok());
}

#[test]
fn all_sizes_of_cluster_and_comparison_can_be_drawn() {
    let eight: Vec<(String, f64, f64)> = (0..8)
        .map(|i| (format!("router-with-a-long-name-{i}"), 0.1 * f64::from(i), 1.0 + f64::from(i)))
        .collect();
    let eight: Vec<_> =
        eight.iter().map(|(name, hit, slow)| (name.as_str(), *hit, *slow)).collect();
    for (name, specs, workers) in [
        ("three", THREE, 4),
        ("one", &THREE[..1], 1),
        ("many", THREE, 64),
        ("eight", &eight[..], 8),
    ] {
        let about = format!("shared-prefix, 1,000 requests, {workers} workers");
        let plots = with_plot_runs(specs, workers, |runs| all(&about, runs).unwrap());
        save(name, &plots);
    }
}

/// Writes the plots to look at, where `KVROUTE_PLOTS` names a folder.
fn save(name: &str, plots: &[Plot]) {
    let Ok(folder) = std::env::var("KVROUTE_PLOTS") else {
        return;
    };
    let dir = RunDir::create(&std::path::Path::new(&folder).join(name)).unwrap();
    for plot in plots {
        let file = format!("{}.png", plot.name);
        dir.write(&file, &png(&plot.svg).unwrap()).unwrap();
    }
}
