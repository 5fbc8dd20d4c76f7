//! vLLM's flat JSON (`--format vllm`), as `vllm bench serve --save-result` writes it, which many
//! dashboards read: `vllm.json`.
//!
//! **The rule.** vLLM's keys and definitions, which are ours: TTFT from the actual send, ITL pools all
//! gaps, TPOT per request of two tokens or more. Latencies are milliseconds under keys that end in
//! `_ms`; the lists of single requests (`detailed`) are seconds. The warm-up is left out.

use super::civil::compact;
use super::export::ExportHead;
use crate::error::{Error, Result};
use crate::live::record::{LiveRecord, Outcome};
use crate::live::summary::LiveRun;
use crate::metrics::summary::Distribution;
use crate::report::run_dir::RunDir;
use crate::units::Nanos;
use serde::Serialize;
use serde_json::{Map, Value, json};

const FILE: &str = "vllm.json";

/// The export in the making.
pub(super) struct Vllm {
    dir: RunDir,
    pub(super) head: ExportHead,
    /// Output tokens received in each second of the run, spread evenly between a request's first and
    /// last token.
    per_second: Vec<f64>,
    detailed: Option<Lists>,
}

/// One entry per request, in order of ending.
#[derive(Default, Serialize)]
struct Lists {
    input_lens: Vec<u32>,
    output_lens: Vec<u32>,
    ttfts: Vec<f64>,
    itls: Vec<Vec<f64>>,
    start_times: Vec<f64>,
    errors: Vec<String>,
}

impl Lists {
    fn add(&mut self, record: &LiveRecord) {
        let completed = record.outcome == Outcome::Completed;
        let seconds = |time: Option<Nanos>| time.map_or(0.0, Nanos::as_secs_f64);
        self.input_lens.push(record.prompt_tokens());
        self.output_lens.push(if completed { record.output_tokens } else { 0 });
        self.ttfts.push(if completed { seconds(record.ttft()) } else { 0.0 });
        let gaps = record.gaps.iter().flatten().filter(|_| completed);
        self.itls.push(gaps.map(|gap| *gap as f64 / 1e9).collect());
        self.start_times.push(seconds(record.sent));
        let otherwise = || record.outcome.name().to_string();
        let error =
            if completed { String::new() } else { record.error.clone().unwrap_or_else(otherwise) };
        self.errors.push(error);
    }
}

impl Vllm {
    /// For a run whose files go to `dir`.
    pub(super) fn new(dir: &RunDir, head: &ExportHead) -> Vllm {
        Vllm {
            dir: dir.clone(),
            head: head.clone(),
            per_second: Vec::new(),
            detailed: head.detailed.then(Lists::default),
        }
    }

    /// Whether the lists of single requests are kept.
    pub(super) fn is_detailed(&self) -> bool {
        self.detailed.is_some()
    }

    /// A request ended.
    ///
    /// # Errors
    /// None yet; it writes at the end.
    pub(super) fn request(&mut self, record: &LiveRecord) -> Result<()> {
        if record.warm_up {
            return Ok(());
        }
        if record.outcome == Outcome::Completed {
            self.spread(record);
        }
        if let Some(lists) = &mut self.detailed {
            lists.add(record);
        }
        Ok(())
    }

    fn spread(&mut self, record: &LiveRecord) {
        let Some((first, last)) = record.first_token.zip(record.last_token) else { return };
        let (from, to) = (first.as_secs_f64(), last.as_secs_f64().max(first.as_secs_f64() + 1e-9));
        let per_second = f64::from(record.output_tokens) / (to - from);
        let last = to as usize;
        if self.per_second.len() <= last {
            self.per_second.resize(last + 1, 0.0);
        }
        for second in from as usize..=last {
            let overlap = to.min(second as f64 + 1.0) - from.max(second as f64);
            self.per_second[second] += per_second * overlap.max(0.0);
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn finish(self, run: &LiveRun) -> Result<()> {
        let failed = |why: serde_json::Error| Error::Run(why.to_string());
        let mut json = self.summary(run);
        if let Some(lists) = &self.detailed
            && let Value::Object(lists) = serde_json::to_value(lists).map_err(failed)?
        {
            json.extend(lists);
        }
        let text = serde_json::to_vec(&json).map_err(failed)?;
        self.dir.write(&format!("{}{FILE}", self.head.folder), &text)
    }

    fn summary(&self, run: &LiveRun) -> Map<String, Value> {
        let head = &self.head;
        let chat = head.target.endpoint_type == "chat";
        let backend = if chat { "openai-chat" } else { "openai" };
        let (input, output) = (run.prefix_cache.prompt_tokens, run.lengths.output_tokens);
        let tokens = run.input_token_throughput.avg + run.output_token_throughput.avg;
        let mut json = Map::new();
        let mut put = |key: &str, value: Value| json.insert(key.into(), value);
        put("date", json!(compact(head.start_unix_ns)));
        put("endpoint_type", json!(backend));
        put("backend", json!(backend));
        put("label", json!(run.label));
        put("model_id", json!(head.target.model));
        put("tokenizer_id", json!(head.target.tokenizer));
        put("num_prompts", json!(run.requests.arrived));
        put("request_rate", head.request_rate.map_or(json!("inf"), |rate| json!(rate)));
        put("burstiness", json!(head.burstiness));
        put("max_concurrency", json!(head.concurrency));
        put("duration", json!(run.duration_s));
        put("completed", json!(run.requests.completed));
        put("failed", json!(run.requests.failed + run.requests.cancelled));
        put("total_input_tokens", json!(input));
        put("total_output_tokens", json!(output));
        put("request_throughput", json!(run.request_throughput.avg));
        put("request_goodput", json!(run.goodput.as_ref().map(|good| good.avg)));
        put("output_throughput", json!(run.output_token_throughput.avg));
        put("total_token_throughput", json!(tokens));
        let busiest = self.per_second.iter().copied().fold(0.0, f64::max);
        put("max_output_tokens_per_s", json!(busiest));
        put("max_concurrent_requests", json!(run.client.max_in_flight));
        for (name, latency) in [
            ("ttft", &run.time_to_first_token),
            ("tpot", &run.time_per_output_token),
            ("itl", &run.inter_token_latency),
            ("e2el", &run.request_latency),
        ] {
            let Distribution { avg, p50, std, p90, p95, p99, .. } = latency;
            let statistics = [
                ("mean", avg),
                ("median", p50),
                ("std", std),
                ("p90", p90),
                ("p95", p95),
                ("p99", p99),
            ];
            for (statistic, value) in statistics {
                put(&format!("{statistic}_{name}_ms"), json!(value));
            }
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::fixture::{completed, failed};
    use crate::live::record::{Failure, LiveSink};
    use crate::report::live::{LiveWriter, fixture};
    use std::fs;

    fn exported(detailed: bool, records: &[LiveRecord]) -> Value {
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(place.path()).unwrap();
        let head = ExportHead { detailed, folder: "live/".into(), ..fixture::head() };
        let mut writer = LiveWriter::create(&dir, 0, &head).unwrap();
        records.iter().for_each(|record| writer.request(record).unwrap());
        writer.finish(&fixture::output("live", records)).unwrap();
        serde_json::from_slice(&fs::read(dir.path("live/vllm.json")).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_vllms_and_values_ours() {
        let mut warm = completed(9, Nanos::ZERO);
        warm.warm_up = true;
        let records = [
            warm,
            completed(0, Nanos(1_000_000_000)),
            failed(1, Nanos(2_000_000_000), Failure::Status(500)),
        ];
        let json = exported(false, &records);
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 21 + 24, "{keys:?}");
        for (key, value) in [
            ("date", json!("20261122-145301")),
            ("backend", json!("openai-chat")),
            ("request_rate", json!("inf")),
            ("max_concurrency", json!(8)),
            ("num_prompts", json!(2)),
            ("completed", json!(1)),
            ("failed", json!(1)),
            ("total_input_tokens", json!(110)),
            ("total_output_tokens", json!(5)),
            ("mean_ttft_ms", json!(20.0)),
            ("median_itl_ms", json!(5.0)),
            ("p99_tpot_ms", json!(5.0)),
            ("std_e2el_ms", json!(0.0)),
            ("request_goodput", Value::Null),
        ] {
            assert_eq!(json[key], value, "{key}");
        }
        let busiest = json["max_output_tokens_per_s"].as_f64().unwrap();
        assert!((busiest - 5.0).abs() < 1e-6, "{busiest}");
        let detailed = exported(true, &records);
        assert_eq!(detailed["ttfts"], json!([0.02, 0.0]));
        assert_eq!(detailed["itls"], json!([[0.005, 0.005, 0.005, 0.005], []]));
        assert_eq!(detailed["errors"], json!(["", "it broke, \"http-500\""]));
        assert_eq!(detailed["output_lens"], json!([5, 0]));
        assert_eq!(detailed["start_times"], json!([1.0005, 2.0]));
    }

    #[test]
    fn tokens_are_spread_over_the_seconds_they_came_in() {
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(place.path()).unwrap();
        let mut export = Vllm::new(&dir, &fixture::head());
        let mut record = completed(0, Nanos::ZERO);
        record.first_token = Some(Nanos(500_000_000));
        record.last_token = Some(Nanos(2_500_000_000));
        record.output_tokens = 8;
        export.request(&record).unwrap();
        assert_eq!(export.per_second, [2.0, 4.0, 2.0]);
    }
}
