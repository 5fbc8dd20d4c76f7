//! `[cluster]`: the workers.

use serde::{Deserialize, Serialize};

/// `[cluster]`: how many workers, and what one of them is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSpec {
    /// Number of workers, 1 to 65,536.
    pub workers: u32,
    /// Tokens per KV block, 1 to 65,536.
    pub block_tokens: u32,
    /// Usable KV blocks per worker, 1 to 2^31; from `gpu` and `model`, else from the latency preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_blocks: Option<u32>,
    /// Token budget of a scheduler step, ≥ 1.
    pub max_batched_tokens: u32,
    /// Running requests at most, ≥ 1.
    pub max_seqs: u32,
    /// Whose scheduler and accounting rules.
    pub engine: Engine,
    /// Latency preset or file.
    pub latency: String,
    /// Host time added to every step, milliseconds, ≥ 0 (presets leave it out).
    pub host_ms: f64,
    /// Which free cached block is reused first.
    pub eviction: EvictionKind,
    /// GPU memory, to compute `kv_blocks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSpec>,
    /// Model shape, to compute `kv_blocks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSpec>,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        ClusterSpec {
            workers: 4,
            block_tokens: 16,
            kv_blocks: None,
            max_batched_tokens: 8192,
            max_seqs: 256,
            engine: Engine::Vllm,
            latency: "llama-3.1-8b-h100".into(),
            host_ms: 0.0,
            eviction: EvictionKind::Lru,
            gpu: None,
            model: None,
        }
    }
}

/// Whose scheduler rules a worker follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// vLLM V1.
    Vllm,
    /// Dynamo's mocker: as vLLM, but recomputed output tokens cost no prefill time.
    DynamoMocker,
}

/// Which free cached block is reused first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum EvictionKind {
    /// The one freed longest ago (vLLM).
    Lru,
    /// The one first stored.
    Fifo,
    /// The one hit least often, the least recently freed among equals.
    Lfu,
}

/// `[cluster.gpu]`: memory available to one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuSpec {
    /// Memory of one GPU, GiB.
    pub memory_gib: f64,
    /// Share of it the engine may use, 0 to 1.
    #[serde(default = "default_utilisation")]
    pub utilisation: f64,
    /// GPUs per worker (tensor parallelism), ≥ 1.
    #[serde(default = "default_gpus")]
    pub count: u32,
    /// Activations and workspace per worker, GiB.
    #[serde(default = "default_activation")]
    pub activation_gib: f64,
    /// Other memory per GPU (CUDA context, communication buffers), GiB.
    #[serde(default = "default_other")]
    pub other_gib: f64,
}

fn default_utilisation() -> f64 {
    0.9
}
fn default_gpus() -> u32 {
    1
}
fn default_activation() -> f64 {
    5.5
}
fn default_other() -> f64 {
    0.15
}

/// `[cluster.model]`: what a token costs in KV memory, and the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Transformer layers, ≥ 1.
    pub layers: u32,
    /// KV heads, ≥ 1.
    pub kv_heads: u32,
    /// Size of a head, ≥ 1.
    pub head_size: u32,
    /// Bytes per KV element: 2 for bf16, 1 for fp8.
    #[serde(default = "default_bytes")]
    pub kv_bytes: f64,
    /// All weights of the model, GiB.
    pub weights_gib: f64,
}

fn default_bytes() -> f64 {
    2.0
}

/// KV blocks of one worker: `(utilisation · memory · GPUs − weights − activations − other · GPUs)`
/// divided by the bytes of a block, `block_tokens · 2 · layers · KV heads · head size · bytes`.
/// 0 where nothing is left. Source: llm-d capacity planner, as in `shared/reference` §3a.
pub fn kv_blocks(gpu: &GpuSpec, model: &ModelSpec, block_tokens: u32) -> u64 {
    let gpus = f64::from(gpu.count);
    let free_gib = gpu.utilisation * gpu.memory_gib * gpus
        - model.weights_gib
        - gpu.activation_gib
        - gpu.other_gib * gpus;
    // With more GPUs than KV heads every GPU keeps a copy of its head.
    let copies = (gpus / f64::from(model.kv_heads)).max(1.0);
    let token_bytes = 2.0
        * f64::from(model.layers)
        * f64::from(model.kv_heads)
        * f64::from(model.head_size)
        * model.kv_bytes
        * copies;
    (free_gib * f64::from(1 << 30) / (token_bytes * f64::from(block_tokens))).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kv_blocks_agree_with_the_published_capacity_of_llama_8b_on_80_gb() {
        let gpu = GpuSpec {
            memory_gib: 80.0,
            utilisation: 0.9,
            count: 1,
            activation_gib: 5.5,
            other_gib: 0.15,
        };
        let model = ModelSpec {
            layers: 32,
            kv_heads: 8,
            head_size: 128,
            kv_bytes: 2.0,
            weights_gib: 14.96,
        };
        let blocks = kv_blocks(&gpu, &model, 16);
        assert!((26_000..26_600).contains(&blocks), "{blocks}, reference about 26.3k");
        assert_eq!(kv_blocks(&GpuSpec { memory_gib: 16.0, ..gpu }, &model, 16), 0);
    }
}
