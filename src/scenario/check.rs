//! Ranges: what serde cannot check. Messages name the key, the value and the range.

mod arrival;
mod workload;

use super::*;
use crate::units::Nanos;

type Check = std::result::Result<(), String>;

/// Longest prompt, output or block length, tokens.
const MAX_TOKENS: f64 = 2_147_483_647.0;

/// A hundred years.
const MAX_SECONDS: f64 = 3_155_760_000.0;

pub(super) fn check(scenario: &Scenario) -> Check {
    between("seeds", f64::from(scenario.seeds), 1.0, 10_000.0)?;
    if let Some(text) = &scenario.slo {
        Slo::parse(text).map_err(|why| why.to_string())?;
    }
    if let Some(text) = &scenario.metrics.warm_up {
        WarmUp::parse(text).map_err(|why| why.to_string())?;
    }
    cluster(&scenario.cluster)?;
    router(&scenario.router)?;
    workload::check(&scenario.workload)
}

fn between(key: &str, value: f64, low: f64, high: f64) -> Check {
    if value.is_finite() && (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("{key} = {value} is out of range; it must be {low} to {high}"))
}

fn not_negative(key: &str, value: f64) -> Check {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(format!("{key} = {value} is out of range; it must be a finite number, 0 or more"))
}

fn positive(key: &str, value: f64) -> Check {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(format!("{key} = {value} is out of range; it must be a finite number above 0"))
}

fn cluster(cluster: &ClusterSpec) -> Check {
    between("cluster.workers", f64::from(cluster.workers), 1.0, 65_536.0)?;
    between("cluster.block_tokens", f64::from(cluster.block_tokens), 1.0, 65_536.0)?;
    if let Some(blocks) = cluster.kv_blocks {
        between("cluster.kv_blocks", f64::from(blocks), 1.0, 2_147_483_648.0)?;
    }
    between("cluster.max_batched_tokens", f64::from(cluster.max_batched_tokens), 1.0, MAX_TOKENS)?;
    between("cluster.max_seqs", f64::from(cluster.max_seqs), 1.0, MAX_TOKENS)?;
    not_negative("cluster.host_ms", cluster.host_ms)?;
    if let Some(gpu) = &cluster.gpu {
        positive("cluster.gpu.memory_gib", gpu.memory_gib)?;
        between("cluster.gpu.utilisation", gpu.utilisation, 0.0, 1.0)?;
        between("cluster.gpu.count", f64::from(gpu.count), 1.0, 1024.0)?;
        not_negative("cluster.gpu.activation_gib", gpu.activation_gib)?;
        not_negative("cluster.gpu.other_gib", gpu.other_gib)?;
    }
    if let Some(model) = &cluster.model {
        between("cluster.model.layers", f64::from(model.layers), 1.0, 100_000.0)?;
        between("cluster.model.kv_heads", f64::from(model.kv_heads), 1.0, 100_000.0)?;
        between("cluster.model.head_size", f64::from(model.head_size), 1.0, 1_000_000.0)?;
        positive("cluster.model.kv_bytes", model.kv_bytes)?;
        not_negative("cluster.model.weights_gib", model.weights_gib)?;
    }
    match (&cluster.gpu, &cluster.model) {
        (Some(_), None) => {
            Err("cluster.gpu is given without cluster.model; KV blocks need both".into())
        }
        (None, Some(_)) => {
            Err("cluster.model is given without cluster.gpu; KV blocks need both".into())
        }
        (Some(gpu), Some(model)) if cluster.kv_blocks.is_none() => {
            let blocks = cluster::kv_blocks(gpu, model, cluster.block_tokens);
            if blocks == 0 {
                return Err(
                    "cluster.gpu has no room for KV blocks after weights and activations; \
                            raise cluster.gpu.memory_gib or cluster.gpu.count"
                        .into(),
                );
            }
            between(
                "KV blocks computed from cluster.gpu and cluster.model",
                blocks as f64,
                1.0,
                2_147_483_648.0,
            )
        }
        _ => Ok(()),
    }
}

fn router(router: &RouterSpec) -> Check {
    if router.mode.is_empty() {
        return Err("router.mode is empty; name at least one router, for example kv".into());
    }
    between("router.event_loss", router.event_loss, 0.0, 1.0)?;
    if router.metrics_interval == Some(Nanos::ZERO) {
        return Err(
            "router.metrics_interval must be longer than 0; leave it out for loads by the \
                    router's own books"
                .into(),
        );
    }
    between("router.replicas", f64::from(router.replicas), 1.0, 1024.0)?;
    not_negative("router.kv.overlap_weight", router.kv.overlap_weight)?;
    not_negative("router.kv.temperature", router.kv.temperature)?;
    for (key, value) in [
        ("router.kv.prefill_load_scale", router.kv.prefill_load_scale),
        ("router.kv.overlap_score_credit", router.kv.overlap_score_credit),
    ] {
        not_negative(key, value.unwrap_or(0.0))?;
    }
    not_negative("router.kv.overlap_score_credit_decay", router.kv.overlap_score_credit_decay)?;
    not_negative("router.kv.decode_active_request_weight", router.kv.decode_active_request_weight)?;
    not_negative("router.kv_linear.load_scale", router.kv_linear.load_scale)?;
    if router.kv.approximate_max_blocks == Some(0) {
        return Err(
            "router.kv.approximate_max_blocks = 0 is out of range; it must be 1 or more".into()
        );
    }
    Ok(())
}
