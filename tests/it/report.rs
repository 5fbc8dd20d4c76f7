//! Files of a run: what other programs read.

use kvroute::metrics::summary::RunSummary;
use kvroute::metrics::timeline::{StepState, Timeline};
use kvroute::report::csv::{REQUESTS_HEADER, Rows, TIMELINE_HEADER};
use kvroute::report::plot::{PlotRun, write_all};
use kvroute::report::run_dir::RunDir;
use kvroute::request::{RequestRecord, Status};
use kvroute::units::Nanos;
use std::io::Write;

fn record(id: u64) -> RequestRecord {
    RequestRecord {
        id,
        session: id,
        turn: 0,
        prompt_tokens: 100,
        output_tokens: 10,
        arrival: Nanos(id * 1_000_001),
        worker: Some(3),
        overlap_blocks: 1,
        best_overlap_blocks: 2,
        predicted_overlap_blocks: None,
        hit_tokens: 16,
        ceiling_tokens: 32,
        admitted: Some(Nanos(id * 1_000_001 + 5)),
        first_token: Some(Nanos(id * 1_000_001 + 2_000_000)),
        finished: Some(Nanos(id * 1_000_001 + 20_000_000)),
        preemptions: 0,
        status: Status::Completed,
    }
}

fn timeline() -> Timeline {
    let mut timeline = Timeline::new(2);
    for step in 0..100 {
        let (start, end) = (Nanos(step * 10_000_000), Nanos(step * 10_000_000 + 6_000_000));
        timeline.step((step % 2) as usize, start, end, StepState::default());
        timeline.admitted((step % 2) as usize, start, 100, 40);
    }
    timeline
}

#[test]
fn rows_are_csv_that_a_csv_reader_takes() {
    let place = tempfile::tempdir().unwrap();
    let dir = RunDir::create(&place.path().join("run")).unwrap();
    let mut rows = Rows::new("kv, \"mine\"", 42);
    let mut file = dir.writer("requests.csv").unwrap();
    file.write_all(REQUESTS_HEADER.as_bytes()).unwrap();
    for id in 0..1000 {
        rows.request(&mut file, &record(id)).unwrap();
    }
    file.commit().unwrap();
    let mut reader = csv::Reader::from_path(dir.path("requests.csv")).unwrap();
    assert_eq!(reader.headers().unwrap().len(), 18);
    let read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(read.len(), 1000);
    assert_eq!(&read[999][0], "kv, \"mine\"");
    assert_eq!(&read[999][5], "999.000999");
    assert_eq!(&read[999][6], "4");
    assert_eq!(&read[999][14], "2.000000");
}

#[test]
fn a_timeline_adds_up_to_the_busy_time() {
    let mut out = TIMELINE_HEADER.as_bytes().to_vec();
    let end = Nanos(996_000_000);
    let mut rows = Rows::new("kv", 1);
    rows.timeline(&mut out, &timeline(), end).unwrap();
    let mut reader = csv::Reader::from_reader(out.as_slice());
    let busy: f64 = reader
        .deserialize::<(String, u64, u32, f64, f64, f64, f64, f64, f64, Option<f64>)>()
        .map(|row| row.unwrap())
        .map(|row| (row.4 - row.3) * row.5)
        .sum();
    assert!((busy - 600.0).abs() < 0.01, "{busy}");
}

#[test]
fn plots_of_a_run_are_written_twice_the_same() {
    let place = tempfile::tempdir().unwrap();
    let timeline = timeline();
    let summary = RunSummary { duration_s: 1.0, ..RunSummary::default() };
    let mut pictures = Vec::new();
    for name in ["a", "b"] {
        let dir = RunDir::create(&place.path().join(name)).unwrap();
        let run = PlotRun {
            label: "kv & <others>",
            ttft_ms: (1..500).map(f64::from).collect(),
            timeline: &timeline,
            end: Nanos(1_000_000_000),
            summaries: vec![&summary],
        };
        write_all(&dir, "shared-prefix", &[run]).unwrap();
        pictures.push(std::fs::read(dir.path("plots/ttft_cdf.png")).unwrap());
        assert_eq!(std::fs::read_dir(dir.path("plots")).unwrap().count(), 10);
    }
    assert_eq!(pictures[0], pictures[1]);
}
