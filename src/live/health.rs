//! Whether the client, not the server, was the bottleneck: in plain words, with the cure.
//!
//! A load generator that is too slow reports its own delays as the server's latency. Every limit
//! below is one at which that begins to show in the numbers people compare.

use super::summary::{ClientHealth, LiveRun};

/// Above this share of its threads' time, events queue for the client's processor: at 80 % an
/// event waits for four others on average, by the textbook's single queue.
const BUSY: f64 = 0.8;
/// A request sent later than this is not the load that was asked for, ms.
const SEND_LAG_MS: f64 = 10.0;
/// Share of the median TTFT above which a client's delay is seen in comparisons.
const SHARE_OF_TTFT: f64 = 0.1;
/// A client's delay below this is the machine's own noise, ms: what the promise for an open loop
/// allows.
const NOISE_MS: f64 = 1.0;
/// A timer later than this means that all events of that moment were late, ms; the kernel's own
/// time slices are shorter.
pub(super) const LOOP_DELAY_MS: f64 = 5.0;
/// Above this share of chunks read together, the pooled gaps are those of the slower ones only.
const COALESCED: f64 = 0.2;
/// A chat template adds some tens of tokens; more than this share of the prompt is worth a look.
const PROMPT_DIFFERENCE: f64 = 0.05;

/// What to distrust in `run`, whose other fields are complete.
pub fn warnings(run: &LiveRun) -> Vec<String> {
    let client = &run.client;
    let ttft_ms = run.time_to_first_token.p50;
    let all = [
        busy(client),
        send_lag(client, ttft_ms),
        loop_delay(client),
        read_lag(client, ttft_ms),
        coalesced(client),
        prompt_lengths(run),
    ];
    all.into_iter().flatten().chain(metrics(run)).collect()
}

/// Pages of metrics that could not be had, each in a sentence.
fn metrics(run: &LiveRun) -> impl Iterator<Item = String> {
    let sources = run.server.iter().flat_map(|server| &server.sources);
    sources.filter(|source| source.failed_scrapes > 0).map(|source| {
        format!(
            "{}: no metrics {} of {} times ({}); name the page with --metrics-url, or go without by \
             --no-server-metrics",
            source.url,
            source.failed_scrapes,
            source.scrapes,
            source.last_error.as_deref().unwrap_or("no reason").trim_end_matches([' ', ':'])
        )
    })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The delay, ms, above which it shows beside a median TTFT of `ttft_ms`.
fn visible(ttft_ms: f64) -> f64 {
    if ttft_ms > 0.0 { (SHARE_OF_TTFT * ttft_ms).max(NOISE_MS) } else { f64::INFINITY }
}

fn milliseconds(ms: f64) -> String {
    format!("{ms:.1} ms")
}

fn busy(client: &ClientHealth) -> Option<String> {
    (client.cpu_fraction > BUSY).then(|| {
        format!(
            "the client used {} of its thread(s): latencies contain its own delays; raise \
             --threads or lower the load",
            percent(client.cpu_fraction)
        )
    })
}

fn send_lag(client: &ClientHealth, ttft_ms: f64) -> Option<String> {
    let p99 = client.send_lag.p99;
    (p99 > SEND_LAG_MS.min(visible(ttft_ms))).then(|| {
        format!(
            "1 % of requests were sent {} late or more: this is not quite the load that was asked \
             for; compare the scheduled latencies, raise --threads or lower the load",
            milliseconds(p99)
        )
    })
}

fn loop_delay(client: &ClientHealth) -> Option<String> {
    let p99 = client.loop_delay.p99;
    (p99 > LOOP_DELAY_MS).then(|| {
        format!(
            "the client's event loop was {} late at its 99th percentile: latencies may be too long \
             by as much; raise --threads or leave the machine to the client",
            milliseconds(p99)
        )
    })
}

fn read_lag(client: &ClientHealth, ttft_ms: f64) -> Option<String> {
    let p99 = client.read_lag.p99;
    (!client.kernel_timestamps && p99 > visible(ttft_ms)).then(|| {
        format!(
            "responses lay unread for {} at the 99th percentile and there are no kernel time stamps \
             to correct for it: latencies are too long by as much; raise --threads or lower the load",
            milliseconds(p99)
        )
    })
}

fn coalesced(client: &ClientHealth) -> Option<String> {
    let share = client.coalesced_chunks as f64 / client.chunks.max(1) as f64;
    (share > COALESCED).then(|| {
        format!(
            "{} of chunks arrived together with an earlier one and give no gap: the ITL is that of \
             the others; trust TPOT, or lower the load if the client is busy",
            percent(share)
        )
    })
}

fn prompt_lengths(run: &LiveRun) -> Option<String> {
    let difference = run.lengths.prompt_difference?;
    (difference.abs() > PROMPT_DIFFERENCE).then(|| {
        format!(
            "the server counts {} {} prompt tokens than our texts have: its chat template's, or another \
             tokenizer; `kvroute live doctor` tells which",
            percent(difference.abs()),
            if difference > 0.0 { "more" } else { "fewer" }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::summary::Distribution;

    fn late(p99: f64) -> Distribution {
        Distribution { p99, ..Distribution::default() }
    }

    /// A run of a healthy client.
    fn healthy() -> LiveRun {
        let mut run = LiveRun::default();
        run.time_to_first_token.p50 = 20.0;
        run.client.cpu_fraction = 0.5;
        run.client.send_lag = late(0.4);
        run.client.loop_delay = late(1.0);
        run.client.read_lag = late(1.9);
        run.client.chunks = 1000;
        run.client.coalesced_chunks = 100;
        run.lengths.prompt_difference = Some(0.04);
        run
    }

    #[test]
    fn a_healthy_client_is_not_warned_of() {
        assert_eq!(warnings(&healthy()), [""; 0]);
        assert_eq!(warnings(&LiveRun::default()), [""; 0]);
    }

    #[test]
    fn each_bottleneck_has_its_sentence_with_a_cure() {
        type Harm = fn(&mut LiveRun);
        let cases: &[(Harm, &str)] = &[
            (|run| run.client.cpu_fraction = 0.931, "used 93 % of its thread(s)"),
            (|run| run.client.send_lag = late(2.1), "sent 2.1 ms late"),
            (|run| run.client.loop_delay = late(5.5), "was 5.5 ms late"),
            (|run| run.client.read_lag = late(3.25), "unread for 3.2 ms"),
            (|run| run.client.coalesced_chunks = 500, "50 % of chunks"),
            (|run| run.lengths.prompt_difference = Some(-0.2), "20 % fewer prompt tokens"),
        ];
        for (harm, sentence) in cases {
            let mut run = healthy();
            harm(&mut run);
            let told = warnings(&run);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(sentence), "{told:?}");
            assert!(told[0].contains("; "), "no cure: {told:?}");
        }
    }

    #[test]
    fn limits_follow_the_latency_they_would_spoil() {
        let mut run = healthy();
        run.time_to_first_token.p50 = 500.0;
        run.client.send_lag = late(9.0);
        run.client.read_lag = late(40.0);
        assert_eq!(warnings(&run), [""; 0]);
        run.client.send_lag = late(11.0);
        assert_eq!(warnings(&run).len(), 1);
        run.client.read_lag = late(60.0);
        assert_eq!(warnings(&run).len(), 2);
        run.client.kernel_timestamps = true;
        assert_eq!(warnings(&run).len(), 1);
    }
}
