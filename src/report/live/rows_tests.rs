use super::*;
use crate::live::fixture::{completed, failed, planned};
use crate::live::record::Failure;
use crate::live::recorder::{LiveRecorder, RunFacts};
use crate::live::server::GaugeSample;

fn line_of(record: &LiveRecord) -> String {
    written(|line, out| request(line, out, record))
}

fn written(write: impl FnOnce(&mut Line, &mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut Line::new("live", 42), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn fields(line: &str) -> usize {
    line.trim_end().split(',').count()
}

#[test]
fn a_completed_request_has_all_its_times_exactly() {
    let mut record = completed(7, Nanos(1_234_000_000_123));
    record.endpoint = 1;
    assert_eq!(
        line_of(&record),
        "live,42,7,3,1,1234000.000123,2,110,5,,,64,,20.000000,5.000000,40.000000,,completed,\
         1234000.500123,0.500000,20.500000,40.500000,80,100,5,5,0,0.030000,200,1,true,,false\n"
    );
}

#[test]
fn failures_and_what_was_never_sent_leave_fields_empty() {
    let mut refused = failed(3, Nanos(1_000_000), Failure::Connect);
    refused.warm_up = true;
    assert_eq!(
        line_of(&refused),
        "live,42,3,1,1,1.000000,1,100,0,,,,,,,,,failed,,,,,0,100,5,0,0,,,1,false,connect,true\n"
    );
    assert!(
        line_of(&failed(3, Nanos(0), Failure::Status(429)))
            .ends_with(",failed,0.000000,0.000000,,,0,100,5,0,0,,429,1,false,http-429,false\n")
    );
    assert!(line_of(&planned(3, Nanos(0))).contains(",cancelled,,,,,"));
    let mut whole = completed(3, Nanos(0));
    whole.chunks = 1;
    assert!(
        line_of(&whole).contains(",20.000000,,40.000000,"),
        "one chunk tells no time per token"
    );
}

#[test]
fn a_simulated_runs_reader_finds_its_columns_first() {
    assert!(requests_header().starts_with(csv::REQUESTS_HEADER.trim_end()));
    assert!(workers_header().starts_with(csv::WORKERS_HEADER.trim_end()));
    assert!(timeline_header().starts_with(csv::TIMELINE_HEADER.trim_end()));
}

#[test]
fn every_row_has_as_many_fields_as_its_header() {
    assert_eq!(fields(&line_of(&completed(0, Nanos(0)))), fields(&requests_header()));
    let mut recorder = LiveRecorder::new(1, None);
    recorder.ended(&completed(0, Nanos(0)));
    let output = recorder.finish(RunFacts::default());
    let row = written(|line, out| worker(line, out, (0, "http://a:1"), &output.workers[0]));
    assert_eq!(row, "live,42,1,1,115,110,5,64,,,,http://a:1,1,0,0,80,20.000000,20.000000\n");
    assert_eq!(fields(&row), fields(&workers_header()));
    let rows = written(|line, out| timeline(line, out, &output.timeline, true));
    assert_eq!(fields(rows.lines().next().unwrap()), fields(&timeline_header()));
    let sample = GaugeSample { at_s: 1.5, running: Some(3.0), ..GaugeSample::default() };
    let source = ServerSource {
        url: "http://a:1/metrics".into(),
        kind: "vllm".into(),
        series: vec![sample],
        ..ServerSource::default()
    };
    let row = written(|line, out| server(line, out, &source));
    assert_eq!(row, "live,42,http://a:1/metrics,vllm,1.500000,3.000000,,,,\n");
    assert_eq!(fields(&row), fields(SERVER_HEADER));
}

#[test]
fn the_timeline_adds_up_to_the_run() {
    let mut recorder = LiveRecorder::new(2, None);
    for i in 0..100 {
        let mut record = completed(i, Nanos(i * 10_000_000));
        record.endpoint = (i % 2) as u32;
        recorder.ended(&record);
    }
    let output = recorder.finish(RunFacts::default());
    let rows = written(|line, out| timeline(line, out, &output.timeline, true));
    let column = |name: &str| {
        let place = timeline_header().trim_end().split(',').position(|column| column == name);
        let value = |row: &str| row.split(',').nth(place.unwrap()).unwrap().parse::<f64>().ok();
        rows.lines().filter_map(value).sum::<f64>()
    };
    assert_eq!((column("sent"), column("completed")), (100.0, 100.0));
    assert_eq!((column("prompt_tokens"), column("hit_tokens")), (11_000.0, 6_400.0));
    assert_eq!((column("expected_hit_tokens"), column("output_tokens")), (8_000.0, 500.0));
    let silent = written(|line, out| timeline(line, out, &output.timeline, false));
    assert!(!silent.contains("0.581818"), "no hit rate where nobody told of hits");
    assert!(rows.contains("0.581818"));
}
