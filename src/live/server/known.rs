//! The metrics we know, by the names that engines and front ends give them. Names change between
//! versions: of several, the first that a page has is taken.

/// What a page can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Counter: prompt tokens looked up in prefix caches.
    Queries,
    /// Counter: of these, found.
    Hits,
    /// Counter: preemptions.
    Preemptions,
    /// Gauge: requests running.
    Running,
    /// Gauge: requests waiting.
    Waiting,
    /// Gauge: share of KV blocks in use, 0 to 1.
    KvUsage,
}

/// Who serves a page, and what it calls things.
pub(super) struct Kind {
    /// Name in results.
    pub(super) name: &'static str,
    /// It looks up prompts itself; a front end only passes on what engines said.
    pub(super) engine: bool,
    /// Names of each metric, the newest first.
    pub(super) names: &'static [(What, &'static [&'static str])],
}

/// In order of preference: a Dynamo worker's page has the metrics of its engine too.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "vllm",
        engine: true,
        names: &[
            (
                What::Queries,
                &[
                    "vllm:prefix_cache_queries_total",
                    "vllm:prefix_cache_queries",
                    "vllm:gpu_prefix_cache_queries_total",
                    "vllm:gpu_prefix_cache_queries",
                ],
            ),
            (
                What::Hits,
                &[
                    "vllm:prefix_cache_hits_total",
                    "vllm:prefix_cache_hits",
                    "vllm:gpu_prefix_cache_hits_total",
                    "vllm:gpu_prefix_cache_hits",
                ],
            ),
            (What::Preemptions, &["vllm:num_preemptions_total", "vllm:num_preemptions"]),
            (What::Running, &["vllm:num_requests_running"]),
            (What::Waiting, &["vllm:num_requests_waiting"]),
            (What::KvUsage, &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"]),
        ],
    },
    Kind {
        name: "sglang",
        engine: true,
        names: &[
            (What::Queries, &["sglang:prompt_tokens_total", "sglang:prompt_tokens"]),
            (What::Hits, &["sglang:cached_tokens_total", "sglang:cached_tokens"]),
            (What::Preemptions, &["sglang:num_retracted_requests_total"]),
            (What::Running, &["sglang:num_running_reqs"]),
            (What::Waiting, &["sglang:num_queue_reqs"]),
            (What::KvUsage, &["sglang:token_usage"]),
        ],
    },
    Kind {
        name: "dynamo",
        engine: false,
        names: &[
            (What::Queries, &["dynamo_frontend_input_sequence_tokens_sum"]),
            (What::Hits, &["dynamo_frontend_cached_tokens_sum"]),
            (What::Running, &["dynamo_frontend_inflight_requests"]),
            (What::Waiting, &["dynamo_frontend_queued_requests"]),
        ],
    },
    // Workers whose engine shows no metrics of its own, such as mockers: gauges only.
    Kind {
        name: "dynamo-worker",
        engine: true,
        names: &[
            (What::Running, &["dynamo_component_inflight_requests"]),
            (
                What::KvUsage,
                &[
                    "dynamo_component_gpu_cache_usage_percent",
                    "dynamo_component_kvstats_gpu_cache_usage_percent",
                ],
            ),
        ],
    },
];
