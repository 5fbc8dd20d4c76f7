//! Ranges: what serde cannot check. Messages name the key, the value and the range.

use super::*;

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
    cluster(&scenario.cluster)?;
    router(&scenario.router)?;
    workload(&scenario.workload)
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

fn workload(workload: &WorkloadSpec) -> Check {
    positive("workload.speedup", workload.speedup)?;
    for (key, value) in
        [("workload.requests", workload.requests), ("workload.limit", workload.limit)]
    {
        if value == Some(0) {
            return Err(format!("{key} = 0 leaves nothing to do; it must be 1 or more"));
        }
    }
    if let Some(spec) = &workload.arrival {
        arrival(spec, workload.kind)?;
    }
    if workload.kind == WorkloadKind::Trace {
        if workload.trace.is_none() {
            return Err("workload.kind is \"trace\" but workload.trace names no file".into());
        }
        return Ok(());
    }
    if workload.trace.is_some() {
        return Err("workload.trace is given, but workload.kind is not \"trace\"".into());
    }
    if workload.speedup != 1.0 {
        return Err("workload.speedup divides the times of a trace, and this workload is none; \
             raise workload.arrival.rate instead"
            .into());
    }
    if workload.requests.is_none() {
        return Err(
            "workload.requests is missing; say how many requests, for example --num-requests 1000"
                .into(),
        );
    }
    if workload.arrival.is_none() {
        return Err(
            "workload.arrival is missing; say when requests come, for example --request-rate 10"
                .into(),
        );
    }
    within_time(workload)?;
    if workload.kind == WorkloadKind::Mix {
        if workload.mix.is_empty() {
            return Err("workload.kind is \"mix\" but there is no [[workload.mix]] part".into());
        }
        return workload.mix.iter().try_for_each(part);
    }
    generator("workload", workload.kind, &Sections::of_workload(workload))
}

/// A steady rate so low that the requests would outlast the clock.
fn within_time(workload: &WorkloadSpec) -> Check {
    let rate = match workload.arrival {
        Some(
            ArrivalSpec::Constant { rate }
            | ArrivalSpec::Poisson { rate }
            | ArrivalSpec::Gamma { rate, .. },
        ) => rate,
        _ => return Ok(()),
    };
    if workload.requests.unwrap_or(1) as f64 / rate > MAX_SECONDS {
        return Err(format!(
            "workload.arrival.rate = {rate:e} would spread the requests over more than 100 years; raise it"
        ));
    }
    Ok(())
}

fn part(part: &MixPart) -> Check {
    positive("workload.mix.weight", part.weight)?;
    if matches!(part.kind, WorkloadKind::Mix | WorkloadKind::Trace) {
        return Err("workload.mix.kind must be a generator, not \"mix\" or \"trace\"".into());
    }
    generator("workload.mix", part.kind, &Sections::of_part(part))
}

/// The settings of every generator, wherever they stand.
struct Sections<'a> {
    shared_prefix: Option<&'a SharedPrefixSpec>,
    multi_turn: Option<&'a MultiTurnSpec>,
    similar: Option<&'a SimilarSpec>,
    diverse: Option<&'a DiverseSpec>,
    agentic: Option<&'a AgenticSpec>,
}

impl<'a> Sections<'a> {
    fn of_workload(spec: &'a WorkloadSpec) -> Self {
        Sections {
            shared_prefix: spec.shared_prefix.as_ref(),
            multi_turn: spec.multi_turn.as_ref(),
            similar: spec.similar.as_ref(),
            diverse: spec.diverse.as_ref(),
            agentic: spec.agentic.as_ref(),
        }
    }

    fn of_part(part: &'a MixPart) -> Self {
        Sections {
            shared_prefix: part.shared_prefix.as_ref(),
            multi_turn: part.multi_turn.as_ref(),
            similar: part.similar.as_ref(),
            diverse: part.diverse.as_ref(),
            agentic: part.agentic.as_ref(),
        }
    }
}

fn generator(at: &str, kind: WorkloadKind, sections: &Sections) -> Check {
    let missing =
        |name: &str| format!("{at}.kind asks for a section [{at}.{name}], which is missing");
    match kind {
        WorkloadKind::SharedPrefix => {
            let spec = sections.shared_prefix.ok_or_else(|| missing("shared_prefix"))?;
            between(&format!("{at}.shared_prefix.prefixes"), f64::from(spec.prefixes), 1.0, 1e9)?;
            between(&format!("{at}.shared_prefix.zipf"), spec.zipf, 0.0, 100.0)?;
            lengths(
                at,
                "shared_prefix",
                &[("prefix", &spec.prefix), ("question", &spec.question), ("output", &spec.output)],
            )
        }
        WorkloadKind::MultiTurn => {
            let spec = sections.multi_turn.ok_or_else(|| missing("multi_turn"))?;
            between(&format!("{at}.multi_turn.zipf"), spec.zipf, 0.0, 100.0)?;
            law(&format!("{at}.multi_turn.think_time"), &spec.think_time)?;
            lengths(
                at,
                "multi_turn",
                &[
                    ("prefix", &spec.prefix),
                    ("turns", &spec.turns),
                    ("first", &spec.first),
                    ("follow_up", &spec.follow_up),
                    ("output", &spec.output),
                ],
            )
        }
        WorkloadKind::Similar => {
            let spec = sections.similar.ok_or_else(|| missing("similar"))?;
            between(&format!("{at}.similar.families"), f64::from(spec.families), 1.0, 1e9)?;
            between(&format!("{at}.similar.zipf"), spec.zipf, 0.0, 100.0)?;
            between(&format!("{at}.similar.differs_at"), spec.differs_at, 0.0, 1.0)?;
            lengths(
                at,
                "similar",
                &[
                    ("prompt", &spec.prompt),
                    ("difference", &spec.difference),
                    ("output", &spec.output),
                ],
            )
        }
        WorkloadKind::Diverse => {
            let spec = sections.diverse.ok_or_else(|| missing("diverse"))?;
            lengths(at, "diverse", &[("prompt", &spec.prompt), ("output", &spec.output)])
        }
        WorkloadKind::Agentic => {
            let spec = sections.agentic.ok_or_else(|| missing("agentic"))?;
            between(&format!("{at}.agentic.agents"), f64::from(spec.agents), 1.0, 1e9)?;
            between(&format!("{at}.agentic.zipf"), spec.zipf, 0.0, 100.0)?;
            between(
                &format!("{at}.agentic.sub_agent_probability"),
                spec.sub_agent_probability,
                0.0,
                1.0,
            )?;
            law(&format!("{at}.agentic.tool_time"), &spec.tool_time)?;
            lengths(
                at,
                "agentic",
                &[
                    ("prefix", &spec.prefix),
                    ("task", &spec.task),
                    ("steps", &spec.steps),
                    ("tool_result", &spec.tool_result),
                    ("output", &spec.output),
                    ("sub_agents", &spec.sub_agents),
                    ("sub_task", &spec.sub_task),
                    ("sub_agent_steps", &spec.sub_agent_steps),
                ],
            )
        }
        WorkloadKind::Mix | WorkloadKind::Trace => Ok(()),
    }
}

fn lengths(at: &str, section: &str, laws: &[(&str, &Law)]) -> Check {
    laws.iter().try_for_each(|(name, spec)| law(&format!("{at}.{section}.{name}"), spec))
}

fn law(key: &str, law: &Law) -> Check {
    let value = |name: &str, value: f64| between(&format!("{key}.{name}"), value, 0.0, MAX_TOKENS);
    match law {
        Law::Constant { value: constant } => value("value", *constant),
        Law::Uniform { low, high } => {
            value("low", *low)?;
            value("high", *high)?;
            if low > high {
                return Err(format!("{key}: low = {low} is above high = {high}"));
            }
            Ok(())
        }
        Law::Exponential { mean } => {
            value("mean", *mean).and(positive(&format!("{key}.mean"), *mean))
        }
        Law::Normal { mean, std } => value("mean", *mean).and(value("std", *std)),
        Law::Lognormal { mean, cv, max } => {
            positive(&format!("{key}.mean"), *mean)?;
            value("mean", *mean)?;
            value("cv", *cv)?;
            value("max", max.unwrap_or(1.0))
        }
        Law::Empirical { values, weights } => {
            if values.is_empty() {
                return Err(format!("{key}.values is empty; give at least one value"));
            }
            values.iter().try_for_each(|entry| value("values", *entry))?;
            weights.iter().try_for_each(|entry| not_negative(&format!("{key}.weights"), *entry))?;
            if !weights.is_empty()
                && (weights.len() != values.len() || weights.iter().sum::<f64>() <= 0.0)
            {
                return Err(format!("{key}.weights needs one weight per value, not all 0"));
            }
            Ok(())
        }
    }
}

fn arrival(arrival: &ArrivalSpec, kind: WorkloadKind) -> Check {
    let rate = |name: &str, rate: f64| positive(&format!("workload.arrival.{name}"), rate);
    match arrival {
        ArrivalSpec::Constant { rate: r } | ArrivalSpec::Poisson { rate: r } => rate("rate", *r),
        ArrivalSpec::Gamma { rate: r, burstiness } => {
            rate("rate", *r).and(rate("burstiness", *burstiness))
        }
        ArrivalSpec::OnOff { rate: r, off_rate, on, off } => {
            rate("rate", *r)?;
            not_negative("workload.arrival.off_rate", *off_rate)?;
            if on.0 == 0 || off.0 == 0 {
                return Err("workload.arrival.on and off must be longer than 0".into());
            }
            Ok(())
        }
        ArrivalSpec::Ramp { from_rate, to_rate, over } => {
            not_negative("workload.arrival.from_rate", *from_rate)?;
            rate("to_rate", *to_rate)?;
            if over.0 == 0 {
                return Err("workload.arrival.over must be longer than 0".into());
            }
            Ok(())
        }
        ArrivalSpec::Closed { concurrency } => {
            between("workload.arrival.concurrency", f64::from(*concurrency), 1.0, 1e9)
        }
        ArrivalSpec::Timestamps if kind != WorkloadKind::Trace => {
            Err("workload.arrival.process = \"timestamps\" needs a trace; name another process"
                .into())
        }
        ArrivalSpec::Timestamps => Ok(()),
    }
}
