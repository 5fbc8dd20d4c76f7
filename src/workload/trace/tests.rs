//! Readers on small traces of our own: what is read, what is refused and how, windows, cures.

use super::input::Input;
use super::*;
use crate::error::Result;
use crate::prompt::total_tokens;
use crate::units::Nanos;
use crate::workload::{Session, SessionStream, When};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use smallvec::smallvec;
use std::io::{Cursor, Read, Write};

fn stream(text: impl Into<Vec<u8>>, spec: &WorkloadSpec) -> Result<TraceStream> {
    let input = Input::new(Box::new(Cursor::new(text.into())), true).unwrap();
    TraceStream::new(spec, Path::new("t"), input)
}

fn plain() -> WorkloadSpec {
    spec(Path::new("t"))
}

fn read(text: impl Into<Vec<u8>>, spec: &WorkloadSpec) -> Result<(Vec<Session>, TraceFacts)> {
    let mut stream = stream(text, spec)?;
    let mut sessions = Vec::new();
    while let Some(session) = stream.next_session()? {
        sessions.push(session);
    }
    Ok((sessions, stream.finish(spec)?))
}

fn refusal(text: impl Into<Vec<u8>>, spec: &WorkloadSpec) -> String {
    read(text, spec).map(|_| ()).unwrap_err().to_string()
}

/// A Mooncake line of one block.
fn row(ms: u64, hash: u64) -> String {
    format!(
        "{{\"timestamp\": {ms}, \"input_length\": 500, \"output_length\": 9, \"hash_ids\": [{hash}]}}\n"
    )
}

fn starts_ms(sessions: &[Session]) -> Vec<u64> {
    sessions.iter().map(|session| session.start.unwrap().0 / 1_000_000).collect()
}

/// (prompt, output) tokens of every request.
fn lengths(sessions: &[Session]) -> Vec<(u64, u64)> {
    let turns = sessions.iter().flat_map(|session| &session.turns);
    turns.map(|turn| (total_tokens(&turn.prompt), total_tokens(&turn.output))).collect()
}

const BURST: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
    5,ChatGPT,472,18,490,Conversation log\n\
    45,ChatGPT,1087,0,1087,Conversation log\n\
    118.5,GPT-4,417,276,693,Conversation log\n";

#[test]
fn burstgpt_is_read_with_either_set_of_columns_and_failures_are_counted() {
    let newer = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\r\n\
        5,\"a,b\",43,ChatGPT,472,18,490,Conversation log\r\n\
        45.0,,2,ChatGPT,1087,0,1087,API log\r\n\
        118.5,,2,GPT-4,417,276,693,API log";
    for text in [BURST, newer] {
        let (sessions, facts) = read(text, &plain()).unwrap();
        assert_eq!(facts.format, TraceFormat::Burstgpt);
        assert_eq!((facts.requests, facts.failed_rows), (2, 1));
        assert_eq!(lengths(&sessions), [(472, 18), (417, 276)]);
        assert_eq!(starts_ms(&sessions), [0, 113_500]);
        assert_ne!(sessions[0].turns[0].prompt, sessions[1].turns[0].prompt);
    }
}

#[test]
fn azure_2025_has_images_and_2024_has_a_time_zone() {
    let text = "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\r\n\
        2025-02-28 23:59:59.5000000,2,100,10\r\n\
        2025-03-01 00:00:00.0000001+00:00,0,200,20";
    let (sessions, facts) = read(text, &plain()).unwrap();
    assert_eq!(facts.format, TraceFormat::Azure);
    assert_eq!(lengths(&sessions), [(100, 10), (200, 20)]);
    assert_eq!(sessions[1].start, Some(Nanos(500_000_100)));
}

const BAILIAN: &str = "\
{\"chat_id\":7,\"parent_chat_id\":-1,\"timestamp\":61.114,\"input_length\":20,\"output_length\":5,\"type\":\"text\",\"turn\":1,\"hash_ids\":[1,2]}
{\"chat_id\":8,\"parent_chat_id\":-1,\"timestamp\":62.0,\"input_length\":16,\"output_length\":5,\"type\":\"text\",\"turn\":1,\"hash_ids\":[3]}
{\"chat_id\":9,\"parent_chat_id\":7,\"timestamp\":63.114,\"input_length\":40,\"output_length\":6,\"type\":\"text\",\"turn\":2,\"hash_ids\":[1,4,5]}
{\"chat_id\":10,\"parent_chat_id\":9,\"timestamp\":64,\"input_length\":50,\"output_length\":6,\"type\":\"text\",\"turn\":3,\"hash_ids\":[1,4,6,7]}
";

#[test]
fn bailian_chats_are_gathered_under_their_root() {
    let (sessions, facts) = read(BAILIAN, &plain()).unwrap();
    assert_eq!(facts.format, TraceFormat::Bailian);
    assert_eq!((facts.requests, facts.sessions), (4, 2));
    assert_eq!(lengths(&sessions), [(20, 5), (40, 6), (50, 6), (16, 5)]);
    assert_eq!(starts_ms(&sessions), [0, 886]);
    let turns = &sessions[0].turns;
    assert_eq!(turns[1].when, When::Offset(Nanos(2_000_000_000)));
    assert_eq!(turns[0].prompt[0], turns[1].prompt[0]);
    // The limit takes the first requests by time, not the first sessions.
    let limited = WorkloadSpec { limit: Some(3), ..plain() };
    let (sessions, _) = read(BAILIAN, &limited).unwrap();
    assert_eq!(lengths(&sessions), [(20, 5), (40, 6), (16, 5)]);
}

const WEKA: &str = r#"{"id":"a","block_size":64,"hash_id_scope":"local","requests":[{"t":0.0,"type":"n","in":130,"out":3,"hash_ids":[1,2]},{"t":5,"type":"subagent","requests":[{"t":0.5,"type":"n","in":64,"out":4,"hash_ids":[9]},{"t":9,"type":"n","in":128,"out":4,"hash_ids":[9,10]}]},{"t":6.0,"type":"s","in":200,"out":0,"hash_ids":[1,2,3]}]}
{"id":"b","block_size":64,"hash_id_scope":"local","requests":[{"t":0.0,"type":"n","in":70,"out":3,"hash_ids":[1]}]}
"#;

#[test]
fn weka_sub_agents_are_placed_in_time_and_ids_stay_in_their_conversation() {
    let (sessions, facts) = read(WEKA, &plain()).unwrap();
    assert_eq!((facts.requests, facts.sessions), (5, 2));
    assert_eq!(lengths(&sessions), [(130, 3), (64, 4), (200, 1), (128, 4), (70, 3)]);
    let turns = &sessions[0].turns;
    let offset = |ns: u64| When::Offset(Nanos(ns));
    assert_eq!(turns[1].when, offset(5_500_000_000));
    assert_eq!(turns[3].when, offset(14_000_000_000));
    assert_eq!(turns[0].prompt[..2], turns[2].prompt[..2]);
    assert_eq!((turns[0].prompt[2].tokens, turns[2].prompt[3].tokens), (2, 8));
    assert_ne!(sessions[1].turns[0].prompt[0], turns[0].prompt[0]);
    assert_eq!(sessions[0].start, None);
}

#[test]
fn recorded_tokens_make_equal_blocks_wherever_prompt_and_output_meet() {
    let line = |prompt: &str, output: &str, rest: &str| {
        format!("{{\"prompt_ids\":{prompt},\"output_ids\":{output}{rest}}}\n")
    };
    let text = line("[1,2,3]", "[4,4294967295,6]", ",\"arrival\":1795342584.75,\"itl\":[{}]")
        + &line("[9]", "[]", ",\"arrival\":1795342585")
        + &line("[1,2,3,4,4294967295]", "[6]", ",\"arrival\":1795342585.0,\"timestamp\":3");
    let (sessions, facts) = read(text, &plain()).unwrap();
    assert_eq!((facts.format, facts.failed_rows), (TraceFormat::Tokens, 1));
    assert_eq!((lengths(&sessions), starts_ms(&sessions)), (vec![(3, 3), (5, 1)], vec![0, 250]));
    let whole = |session: &Session| {
        let turn = &session.turns[0];
        [&turn.prompt[..], &turn.output[..]].concat()
    };
    let (a, b) = (whole(&sessions[0]), whole(&sessions[1]));
    for block in 1..=4 {
        assert_eq!(crate::prompt::block_runs(&a, block), crate::prompt::block_runs(&b, block));
    }
    let timeless = line("[1]", "[2]", "") + &line("[1]", "[3]", "");
    for spec in [plain(), WorkloadSpec { sort_arrivals: true, limit: Some(2), ..plain() }] {
        let (sessions, _) = read(timeless.clone(), &spec).unwrap();
        assert!(sessions.len() == 2 && sessions.iter().all(|session| session.start.is_none()));
    }
    let late = WorkloadSpec { start: Some(Nanos(1)), ..plain() };
    assert!(refusal(timeless.clone(), &late).contains("--limit"));
    let mixed = timeless + &line("[1]", "[2]", ",\"timestamp\":5");
    let message = refusal(mixed, &plain());
    assert!(message.contains("line 3: it has a time") && message.contains("line 1 has none"));
}

#[test]
fn sharegpt_prompts_hold_all_that_was_said_before() {
    let text = r#"[ {"id":"x","conversations":[{"from":"human","value":"12345"},{"from":"gpt","value":"\"{[ äöü"},
        {"from":"human","value":"more"},{"from":"gpt","value":"end"}]},
      {"id":"y","conversations":[{"from":"gpt","value":"nobody asked"}]} ]"#;
    let (sessions, facts) = read(text, &plain()).unwrap();
    assert_eq!((facts.requests, facts.sessions, facts.failed_rows), (2, 1, 1));
    assert_eq!(lengths(&sessions), [(2, 2), (5, 1)]);
    let turns = &sessions[0].turns;
    assert_eq!(turns[1].prompt[1], turns[0].output[0]);
    assert_eq!(turns[1].when, When::After(smallvec![0], Nanos::ZERO));
}

#[test]
fn a_window_counts_time_from_its_first_request() {
    let text: String = [5, 10, 10, 20, 40].map(|ms| row(ms, ms)).concat();
    let window = WorkloadSpec { start: Some(Nanos(5_000_000)), limit: Some(3), ..plain() };
    let (sessions, facts) = read(text.clone(), &window).unwrap();
    assert_eq!(starts_ms(&sessions), [0, 0, 10]);
    let (whole, all) = read(text, &plain()).unwrap();
    assert_eq!(facts.sha256, all.sha256, "the whole file is hashed");
    assert_eq!(sessions[0].turns[0].prompt, whole[1].turns[0].prompt);
    let requests = WorkloadSpec { requests: Some(2), ..plain() };
    let (sessions, _) = read(WEKA, &requests).unwrap();
    assert_eq!(lengths(&sessions), [(130, 3), (64, 4)]);
}

#[test]
fn unsorted_traces_are_refused_or_sorted_stably() {
    let text = row(7, 0) + &row(3, 1) + &row(7, 2) + &row(3, 3);
    let message = refusal(text.clone(), &plain());
    assert!(message.contains("line 2") && message.contains("--sort-arrivals"), "{message}");
    let sort = WorkloadSpec { sort_arrivals: true, ..plain() };
    let (sessions, _) = read(text.clone(), &sort).unwrap();
    assert_eq!(starts_ms(&sessions), [0, 0, 4, 4]);
    let (as_is, _) = read(row(0, 0) + &row(0, 1) + &row(0, 2) + &row(0, 3), &plain()).unwrap();
    let order = [1, 3, 0, 2].map(|place: usize| &as_is[place].turns[0].prompt);
    let sorted: Vec<_> = sessions.iter().map(|session| &session.turns[0].prompt).collect();
    assert_eq!(sorted, order);
}

#[test]
fn gzip_byte_order_marks_and_blank_lines_are_no_obstacle() {
    let text = format!("\u{feff}\n{}\n\n{}", row(0, 0), row(1, 1).trim_end());
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(text.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let (sessions, facts) = read(gz.clone(), &plain()).unwrap();
    assert_eq!(sessions, read(text, &plain()).unwrap().0);
    assert_eq!(facts.sha256.len(), 64);
    let cut = Input::new(Box::new(Cursor::new(gz[..gz.len() / 2].to_vec())), true);
    assert!(cut.is_err() || refusal(gz[..gz.len() / 2].to_vec(), &plain()).contains("damaged"));
}

#[test]
fn a_wrong_hash_is_refused() {
    let (_, facts) = read(row(0, 0), &plain()).unwrap();
    let mut spec = plain();
    spec.trace_sha256 = Some(facts.sha256.to_uppercase());
    assert!(read(row(0, 0), &spec).is_ok());
    let message = refusal(row(0, 1), &spec);
    assert!(message.contains("trace_sha256"), "{message}");
}

#[test]
fn bad_lines_are_counted_where_that_is_asked_for() {
    let text = row(0, 0) + "{\"timestamp\": -1}\n" + "oops\n" + &row(1, 1) + "{\"time";
    let skip = WorkloadSpec { skip_bad_lines: true, ..plain() };
    let (sessions, facts) = read(text, &skip).unwrap();
    assert_eq!((sessions.len(), facts.skipped.lines), (2, 3));
    assert!(facts.skipped.first.unwrap().contains("line 2"));
    let cut =
        r#"[{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}, {"conver"#;
    let (sessions, facts) = read(cut, &skip).unwrap();
    assert_eq!((sessions.len(), facts.skipped.lines), (1, 1));
}

#[test]
fn a_record_beyond_the_bound_is_refused_without_being_kept_and_can_be_skipped() {
    for (format, beginning) in [(TraceFormat::Mooncake, "{"), (TraceFormat::Sharegpt, "[{\"")] {
        let endless = Cursor::new(beginning).chain(std::io::repeat(b'x'));
        let spec = WorkloadSpec { trace_format: Some(format), ..plain() };
        let input = Input::new(Box::new(endless), true).unwrap();
        let mut stream = TraceStream::new(&spec, Path::new("t"), input).unwrap();
        let message = stream.next_session().unwrap_err().to_string();
        assert!(message.contains("t, line 1") && message.contains("64 MiB"), "{message}");
    }
    let long = std::io::repeat(b'x').take(records::MAX_RECORD as u64 + 10_000_000);
    let lines = Cursor::new(row(0, 0)).chain(long).chain(Cursor::new(format!("\n{}", row(1, 1))));
    let input = Input::new(Box::new(lines), true).unwrap();
    let skip = WorkloadSpec { skip_bad_lines: true, ..plain() };
    let mut stream = TraceStream::new(&skip, Path::new("t"), input).unwrap();
    assert!(stream.next_session().unwrap().is_some());
    assert!(stream.next_session().unwrap().is_some());
    assert!(stream.next_session().unwrap().is_none());
    assert_eq!(stream.skipped().lines, 1);
}

proptest! {
    /// Whatever happens to a file, reading it ends with sessions or with a sentence.
    #[test]
    fn damaged_traces_never_panic_and_messages_stay_short(
        which in 0usize..6,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        skip: bool,
    ) {
        let share = r#"[{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}]"#;
        let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600+01:00,5,5\n";
        let mooncake = row(1, 1) + &row(2, 1);
        let mut bytes = [BURST, BAILIAN, WEKA, share, azure, &mooncake][which].as_bytes().to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if skip {
            bytes.truncate(cut.index(bytes.len()) + 1);
        }
        let spec = WorkloadSpec { skip_bad_lines: skip, ..plain() };
        if let Ok(input) = Input::new(Box::new(Cursor::new(bytes)), true)
            && let Err(why) = TraceStream::new(&spec, Path::new("t"), input).and_then(drain)
        {
            let message = why.to_string();
            prop_assert!(message.lines().count() == 1 && message.len() < 700, "{}", message);
        }
    }
}

fn drain(mut stream: TraceStream) -> Result<()> {
    while stream.next_session()?.is_some() {}
    Ok(())
}
