//! Bad traces: each must be refused in one line that names the place and the cure.

use kvroute::scenario::{TraceFormat, WorkloadSpec};
use kvroute::workload::trace;

const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
const BURST: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";
const ROW: &str = r#"{"timestamp": 1, "input_length": 5, "output_length": 5, "hash_ids": [1]}"#;

/// Content, format where it is given, and what the message must say.
fn bad_traces() -> Vec<(String, Option<TraceFormat>, Vec<&'static str>)> {
    let row = |from: &str, to: &str| ROW.replace(from, to);
    let weka = |entry: &str| format!(r#"{{"id":"a","requests":[{entry}]}}"#);
    let mooncake = Some(TraceFormat::Mooncake);
    let line = |text: String, words: &[&'static str]| {
        let mut all = vec!["line 1", "--skip-bad-lines"];
        all.extend(words);
        (text, None, all)
    };
    vec![
        (String::new(), None, vec!["empty"]),
        (" \n\n".into(), None, vec!["empty"]),
        (
            "hello\n".into(),
            None,
            vec!["--trace-format", "mooncake|azure|burstgpt|bailian|weka|sharegpt|tokens"],
        ),
        (AZURE.into(), None, vec!["no request"]),
        ("[]".into(), None, vec!["no request"]),
        (String::new(), mooncake, vec!["no request"]),
        (
            format!("{ROW}\n{{\"timestamp\": 2, \"inp"),
            None,
            vec!["line 2", "column", "--skip-bad-lines"],
        ),
        line(row("5", "-5"), &["input_length is -5"]),
        line(row("5", "0"), &["input_length is 0", "1 to 2147483647"]),
        line(row("5", "2147483648"), &["2147483648", "1 to 2147483647"]),
        line(row("5", "5.5"), &["input_length is 5.5"]),
        line(row("5", "\"five\""), &["input_length", "the text \"five\""]),
        line(row("5", "null"), &["input_length is null"]),
        line(row("5", "NaN"), &["column"]),
        line(row("\"output_length\": 5, ", ""), &["output_length is missing"]),
        line(row("[1]", "[1, 2]"), &["hash_ids has 2 entries", "needs 1"]),
        line(row("[1]", "[-1]"), &["column"]),
        line(row("[1]", "\"x\""), &["column"]),
        line(row(": 1,", ": -1,"), &["timestamp is -1", "milliseconds"]),
        line(row(": 1,", ": 1e30,"), &["timestamp"]),
        (
            format!("{ROW}\n{}", row(": 1,", ": 0,")),
            None,
            vec!["line 2", "line 1", "--sort-arrivals"],
        ),
        (format!("{AZURE}yesterday,5,5\n"), None, vec!["line 2", "TIMESTAMP", "yesterday"]),
        (
            format!("{AZURE}2023-11-16 18:17:03.97,NaN,5\n"),
            None,
            vec!["line 2", "ContextTokens is NaN"],
        ),
        (format!("{AZURE}2023-11-16 18:17:03.97,5\n"), None, vec!["line 2", "2 columns"]),
        (format!("{BURST}inf,GPT-4,5,5,10,x\n"), None, vec!["line 2", "Timestamp is inf"]),
        (format!("{BURST}5,GPT-4,5,-5,0,x\n"), None, vec!["line 2", "Response tokens is -5"]),
        (BURST.into(), Some(TraceFormat::Azure), vec!["line 1", "TIMESTAMP", "--trace-format"]),
        line(
            weka(r#"{"t":1,"in":128,"out":5,"hash_ids":[1]}"#),
            &["requests[0].hash_ids has 1", "2 whole blocks"],
        ),
        line(weka(r#"{"t":-1,"in":1,"out":5,"hash_ids":[]}"#), &["requests[0].t is -1"]),
        line(
            weka(r#"{"t":1,"requests":[{"t":0,"in":"a","out":5}]}"#),
            &["requests[0].requests[0].in"],
        ),
        line(r#"{"prompt_ids":[],"output_ids":[1]}"#.into(), &["prompt_ids is empty"]),
        line(r#"{"prompt_ids":[4294967296],"output_ids":[1]}"#.into(), &["column", "4294967296"]),
        line(r#"{"prompt_ids":[1],"output_ids":[-1]}"#.into(), &["column", "-1"]),
        line(r#"{"prompt_ids":[1]}"#.into(), &["output_ids"]),
        line(
            r#"{"prompt_ids":[1],"output_ids":[1],"arrival":"x"}"#.into(),
            &["arrival is the text \"x\"", "seconds"],
        ),
        ("[\n{\"conversations\": [\n 5]}]".into(), None, vec!["line 3", "column"]),
        ("[{\"conversations\": []}".into(), None, vec!["line 1", "ends"]),
        ("[1]".into(), None, vec!["line 1", "conversation"]),
        (format!("{{\"timestamp\": \"{}\"}}", "x".repeat(5000)), None, vec!["line 1", "hash_ids"]),
        (row("5", &format!("\"{}\"", "x\\n".repeat(5000))), None, vec!["input_length"]),
        (row("[1]", &format!("[\"{}\"]", "x".repeat(5000))), None, vec!["line 1"]),
        ("z".repeat(100_000), None, vec!["--trace-format"]),
    ]
}

#[test]
fn bad_traces_are_refused_with_place_and_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t");
    for (content, format, words) in bad_traces() {
        std::fs::write(&path, &content).unwrap();
        let spec = WorkloadSpec { trace_format: format, ..trace::spec(&path) };
        let shown: String = content.chars().take(200).collect();
        let message = match trace::scan(&spec) {
            Ok(facts) => panic!("accepted: {shown} as {facts:?}"),
            Err(why) => why.to_string(),
        };
        for word in words {
            assert!(message.contains(word), "{shown}\n{message}\nlacks {word}");
        }
        let data = message.replace(&path.display().to_string(), "");
        assert!(message.lines().count() == 1 && data.len() < 400, "{message}");
        assert!(message.starts_with(&path.display().to_string()), "{message}");
    }
    let missing = trace::scan(&trace::spec(&folder.path().join("none"))).unwrap_err();
    assert!(missing.to_string().contains("cannot read"));
    let a_folder = trace::scan(&trace::spec(folder.path())).unwrap_err();
    assert!(a_folder.to_string().contains("folder"));
}
