//! What cannot be run is refused in one sentence with its cure, and nothing is written.

use super::program;
use super::script::answer;
use super::server::Server;
use std::net::TcpListener;

/// Expects exit code 2, one line on stderr with all of `parts`, and no results.
fn refused(args: &[&str], parts: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let base =
        ["diverse", "--isl=12", "--osl=4", "--num-requests=4", "--concurrency=2", "--out=run"];
    let output = program(&place).args(base).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?}: no \"{part}\" in {stderr}");
    }
    assert_eq!(stderr.trim().lines().count(), 1, "{args:?}: {stderr}");
    assert!(output.stdout.is_empty());
    let left = crate::program::files(place.path());
    assert!(left.is_empty(), "{args:?} wrote {:?}", left.keys());
}

#[test]
fn urls_that_are_none_are_refused() {
    let example = "http://127.0.0.1:8000";
    for url in ["ftp://127.0.0.1", "http://", "http://h:99999", "http://u:p@h", "http://h/v1?x=1"] {
        refused(&["--model=m", "--url", url], &["--url", url, example]);
    }
    refused(
        &["--model=m", "--url=http://no-such-host.invalid"],
        &["--url", "no-such-host.invalid"],
    );
}

#[test]
fn an_unknown_host_is_blamed_on_the_option_that_named_it() {
    let server = Server::start(answer);
    let metrics = "--metrics-url=http://no-such-host.invalid";
    refused(
        &["--model=m", "--url", &server.url(), metrics],
        &["--metrics-url http://no-such-host.invalid: cannot find no-such-host.invalid"],
    );
    refused(
        &["--model=m", "--worker=http://no-such-host.invalid"],
        &["--worker http://no-such-host.invalid: cannot find no-such-host.invalid"],
    );
    assert_eq!(server.count(), 0);
}

#[test]
fn a_server_that_is_not_there_is_said_at_once() {
    // Nobody can listen here as long as we hold it without listening on this address.
    let taken = TcpListener::bind("127.0.0.11:0").unwrap();
    let url = format!("http://127.0.0.12:{}", taken.local_addr().unwrap().port());
    let parts = [&format!("--url {url}"), "refused", "is the server running?"];
    let parts: Vec<&str> = parts.iter().map(|part| part as &str).collect();
    refused(&["--url", &url], &parts);
    for strategy in ["pooled", "per-request", "sticky"] {
        refused(&["--model=m", "--url", &url, "--connection", strategy], &parts);
    }
    // One of several is enough to refuse.
    let server = Server::start(answer);
    refused(&["--model=m", "--url", &server.url(), "--url", &url], &parts);
    assert_eq!(server.count(), 0);
}

#[test]
fn a_server_without_models_needs_a_name() {
    let setup = super::server::Setup {
        pages: Box::new(|_| Some("{\"data\":[]}".into())),
        ..Default::default()
    };
    let server = Server::with(setup, answer);
    refused(&["--url", &server.url()], &["--url", "--model"]);
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let server = Server::start(answer);
    let place = tempfile::tempdir().unwrap();
    let broken = place.path().join("tokenizer.json");
    std::fs::write(&broken, "{\"version\": \"1.0\"").unwrap();
    let broken = format!("--tokenizer={}", broken.display());
    let cases: &[(&str, &[&str])] = &[
        ("--header=no colon here", &["--header", "Name: value"]),
        ("--header=bad name: x", &["bad name"]),
        ("--header=x: \u{7}", &["--header x"]),
        ("--api-key=\u{7}", &["--api-key"]),
        ("--session-header=bad name", &["bad name"]),
        ("--extra-body=[1]", &["--extra-body", "JSON object"]),
        ("--extra-body={\"messages\": []}", &["--extra-body", "messages"]),
        ("--tokenizer=nowhere.json", &["--tokenizer", "nowhere.json"]),
        (&broken, &["tokenizer.json", "leave out --tokenizer"]),
        ("--cacert=nowhere.pem", &["--cacert", "nowhere.pem"]),
        ("--request-timeout=soon", &["--request-timeout"]),
        ("--request-timeout=0", &["--request-timeout"]),
        ("--grace-period=-1s", &["--grace-period"]),
        ("--metrics-interval=0", &["--metrics-interval"]),
        ("--metrics-url=ftp://h", &["--metrics-url"]),
        ("--duration=never", &["--duration"]),
    ];
    for (option, parts) in cases {
        refused(&["--model=m", "--url", &server.url(), option], parts);
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn a_run_that_cannot_start_leaves_the_results_of_an_earlier_one() {
    let place = tempfile::tempdir().unwrap();
    let earlier = place.path().join("run/summary.json");
    std::fs::create_dir(place.path().join("run")).unwrap();
    std::fs::write(&earlier, "{}").unwrap();
    let taken = TcpListener::bind("127.0.0.11:0").unwrap();
    let gone = format!("http://127.0.0.12:{}", taken.local_addr().unwrap().port());
    let server = Server::start(answer);
    let (there, gone) = (server.url(), gone.as_str());
    let arms = [format!("--arm=a={there}"), format!("--arm=b={gone}")];
    for ends in [vec!["--url", gone], arms.iter().map(String::as_str).collect()] {
        let words = "diverse --model m --isl 12 --osl 4 --num-requests 4 --concurrency 2 --out run";
        let output = program(&place).args(words.split(' ')).args(&ends).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{ends:?}: {stderr}");
        assert!(stderr.contains(gone), "{stderr}");
        assert_eq!(std::fs::read_to_string(&earlier).unwrap(), "{}");
    }
    assert_eq!(server.count(), 0);
}
