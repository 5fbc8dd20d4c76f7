//! `kvroute live` against servers of our own, on the loopback network only.

mod clocks;
mod compare_sim;
mod connection;
mod doctor;
mod doctor_events;
mod engine;
mod faults;
mod input;
mod load;
mod metrics;
mod mixture;
mod polled;
mod refusals;
mod script;
mod server;
mod stand_in;
mod stop;
mod tls;
mod wire;

use serde_json::Value;
use server::Server;
use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Options of a run that is about something else than these.
const PLAIN: &str = "diverse --model mock --isl 12 --osl 4 --no-server-metrics";

/// The program under way.
struct Running {
    child: Child,
    place: TempDir,
}

/// A run that has ended.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
    /// `summary.json`, and the run in it.
    whole: Value,
    summary: Value,
    rows: Vec<Row>,
    place: TempDir,
}

/// A line of `requests.csv`.
struct Row(BTreeMap<String, String>);

/// Runs the program with words and more options, against these servers.
fn start(servers: &[&Server], words: &str, more: &[&str]) -> Running {
    let place = tempfile::tempdir().unwrap();
    let urls = servers.iter().map(|server| format!("--url={}", server.url()));
    let child = program(&place)
        .args(words.split_whitespace())
        .args(urls)
        .args(["--no-plots", "--out=run"])
        .args(more)
        .spawn()
        .unwrap();
    Running { child, place }
}

fn program(place: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvroute"));
    command.arg("live").current_dir(place.path()).env_remove("OPENAI_API_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
fn live(server: &Server, words: &str) -> Run {
    start(&[server], words, &[]).finish()
}

impl Running {
    /// Ctrl-C.
    fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }

    fn output(self) -> (Output, TempDir) {
        (self.child.wait_with_output().unwrap(), self.place)
    }

    /// Its results, whose books must balance.
    fn finish(self) -> Run {
        let (output, place) = self.output();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let folder = place.path().join("run");
        let json =
            std::fs::read(folder.join("summary.json")).unwrap_or_else(|_| panic!("{stderr}"));
        let whole: Value = serde_json::from_slice(&json).unwrap();
        let mut reader = csv::Reader::from_path(folder.join("requests.csv")).unwrap();
        let rows = reader.deserialize().map(|row| Row(row.unwrap())).collect();
        let summary = whole["runs"][0].clone();
        let code = output.status.code().unwrap();
        let run = Run { code, stdout, stderr, whole, summary, rows, place };
        run.check_books();
        run
    }
}

impl Run {
    fn check_books(&self) {
        let [arrived, completed, failed, cancelled] =
            ["arrived", "completed", "failed", "cancelled"].map(|name| self.requests(name));
        assert_eq!(arrived, completed + failed + cancelled, "{}", self.summary);
        assert_eq!(arrived, self.rows.len() as u64);
        for (status, count) in
            [("completed", completed), ("failed", failed), ("cancelled", cancelled)]
        {
            assert_eq!(self.ended(status).count() as u64, count, "{status}");
        }
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for row in self.ended("failed") {
            *reasons.entry(row.text("failure").into()).or_default() += 1;
        }
        assert_eq!(reasons, self.failures());
        assert!(
            self.rows
                .iter()
                .all(|row| row.text("status") == "failed" || row.text("failure").is_empty())
        );
        let per_worker: u64 = self.list("/load/requests_per_worker").iter().sum();
        assert_eq!(per_worker, arrived);
    }

    /// `arrived`, `completed`, `failed`, `cancelled`.
    fn requests(&self, name: &str) -> u64 {
        self.summary["requests"][name].as_u64().unwrap()
    }

    fn failures(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.summary["failures"].clone()).unwrap()
    }

    /// A number of the summary, by its JSON pointer.
    fn number(&self, pointer: &str) -> f64 {
        let found = self.summary.pointer(pointer).and_then(Value::as_f64);
        found.unwrap_or_else(|| panic!("no number at {pointer} in {}", self.summary))
    }

    fn list(&self, pointer: &str) -> Vec<u64> {
        serde_json::from_value(self.summary.pointer(pointer).unwrap().clone()).unwrap()
    }

    /// The rows of this status.
    fn ended(&self, status: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.text("status") == status)
    }

    fn completed_all(&self, requests: u64) {
        assert_eq!(self.code, 0, "{}", self.stderr);
        assert_eq!(self.requests("completed"), requests, "{:?}", self.failures());
        assert_eq!(self.requests("arrived"), requests);
    }
}

impl Row {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no column {name}"))
    }

    fn maybe(&self, name: &str) -> Option<f64> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
    }

    fn number(&self, name: &str) -> f64 {
        self.maybe(name).unwrap_or_else(|| panic!("{name} is empty in {:?}", self.0))
    }
}
