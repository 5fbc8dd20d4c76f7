//! Checks of `[workload]`.

use super::*;

pub(super) fn check(workload: &WorkloadSpec) -> Check {
    positive("workload.speedup", workload.speedup)?;
    for (key, value) in
        [("workload.requests", workload.requests), ("workload.limit", workload.limit)]
    {
        if value == Some(0) {
            return Err(format!("{key} = 0 leaves nothing to do; it must be 1 or more"));
        }
    }
    if let Some(duration) = workload.duration {
        if duration.0 == 0 {
            return Err("workload.duration = 0 leaves nothing to do; it must be longer".into());
        }
        between("workload.duration (in seconds)", duration.as_secs_f64(), 0.0, MAX_SECONDS)?;
    }
    for (key, value) in [
        ("workload.prompt_tokens", workload.prompt_tokens),
        ("workload.output_tokens", workload.output_tokens),
    ] {
        between(key, value.map_or(1.0, f64::from), 1.0, MAX_TOKENS)?;
    }
    if let Some(spec) = &workload.arrival {
        super::arrival::check(spec, workload.kind)?;
    }
    match workload.kind {
        WorkloadKind::Trace if workload.trace.is_none() => {
            Err("workload.kind is \"trace\" but workload.trace names no file".into())
        }
        WorkloadKind::Trace => lengths_of_its_own(workload),
        WorkloadKind::Mix => generated(workload).and(mix(&workload.mix)),
        kind => {
            generated(workload).and(generator("workload", kind, &Sections::of_workload(workload)))
        }
    }
}

fn lengths_of_its_own(trace: &WorkloadSpec) -> Check {
    if trace.prompt_tokens.is_none() && trace.output_tokens.is_none() {
        return Ok(());
    }
    Err("workload.prompt_tokens (--isl) and workload.output_tokens (--osl) override the lengths of a \
         generated workload, and a trace has its own; leave them out"
        .into())
}

/// What every generated workload must and must not say.
fn generated(workload: &WorkloadSpec) -> Check {
    if workload.trace.is_some() {
        return Err("workload.trace is given, but workload.kind is not \"trace\"".into());
    }
    if workload.speedup != 1.0 {
        return Err("workload.speedup divides the times of a trace, and this workload is none; \
             raise workload.arrival.rate instead"
            .into());
    }
    if workload.requests.is_none() && workload.duration.is_none() {
        return Err(
            "workload.requests is missing and a generated workload has no end; say how many \
             requests, for example --num-requests 1000, or how long, for example --duration 60s"
                .into(),
        );
    }
    if workload.arrival.is_none() {
        return Err(
            "workload.arrival is missing; say when requests come, for example --request-rate 10"
                .into(),
        );
    }
    within_time(workload)
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
    if workload.duration.is_some() {
        return Ok(());
    }
    if workload.requests.unwrap_or(1) as f64 / rate > MAX_SECONDS {
        return Err(format!(
            "workload.arrival.rate = {rate:e} would spread the requests over more than 100 years; raise it"
        ));
    }
    Ok(())
}

fn mix(parts: &[MixPart]) -> Check {
    if parts.is_empty() {
        return Err("workload.kind is \"mix\" but there is no [[workload.mix]] part".into());
    }
    parts.iter().try_for_each(part)
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
    match kind {
        WorkloadKind::SharedPrefix => {
            section(at, "shared_prefix", sections.shared_prefix, shared_prefix)
        }
        WorkloadKind::MultiTurn => section(at, "multi_turn", sections.multi_turn, multi_turn),
        WorkloadKind::Similar => section(at, "similar", sections.similar, similar),
        WorkloadKind::Diverse => section(at, "diverse", sections.diverse, diverse),
        WorkloadKind::Agentic => section(at, "agentic", sections.agentic, agentic),
        WorkloadKind::Mix | WorkloadKind::Trace => Ok(()),
    }
}

/// Checks the section that `kind` asks for, under its full key.
fn section<T>(at: &str, name: &str, spec: Option<&T>, check: fn(&str, &T) -> Check) -> Check {
    let spec = spec
        .ok_or_else(|| format!("{at}.kind asks for a section [{at}.{name}], which is missing"))?;
    check(&format!("{at}.{name}"), spec)
}

fn shared_prefix(at: &str, spec: &SharedPrefixSpec) -> Check {
    popularity(at, "prefixes", spec.prefixes, 1.0, spec.zipf)?;
    laws(at, &[("prefix", &spec.prefix), ("question", &spec.question), ("output", &spec.output)])
}

fn multi_turn(at: &str, spec: &MultiTurnSpec) -> Check {
    popularity(at, "prefixes", spec.prefixes, 0.0, spec.zipf)?;
    laws(
        at,
        &[
            ("prefix", &spec.prefix),
            ("turns", &spec.turns),
            ("first", &spec.first),
            ("follow_up", &spec.follow_up),
            ("output", &spec.output),
            ("think_time", &spec.think_time),
        ],
    )
}

fn similar(at: &str, spec: &SimilarSpec) -> Check {
    popularity(at, "families", spec.families, 1.0, spec.zipf)?;
    between(&format!("{at}.differs_at"), spec.differs_at, 0.0, 1.0)?;
    laws(
        at,
        &[("prompt", &spec.prompt), ("difference", &spec.difference), ("output", &spec.output)],
    )
}

fn diverse(at: &str, spec: &DiverseSpec) -> Check {
    laws(at, &[("prompt", &spec.prompt), ("output", &spec.output)])
}

fn agentic(at: &str, spec: &AgenticSpec) -> Check {
    popularity(at, "agents", spec.agents, 1.0, spec.zipf)?;
    between(&format!("{at}.sub_agent_probability"), spec.sub_agent_probability, 0.0, 1.0)?;
    laws(
        at,
        &[
            ("prefix", &spec.prefix),
            ("task", &spec.task),
            ("steps", &spec.steps),
            ("tool_result", &spec.tool_result),
            ("output", &spec.output),
            ("tool_time", &spec.tool_time),
            ("sub_agents", &spec.sub_agents),
            ("sub_task", &spec.sub_task),
            ("sub_agent_steps", &spec.sub_agent_steps),
        ],
    )
}

/// So many different texts, and how unequal their popularity is.
fn popularity(at: &str, name: &str, texts: u32, least: f64, zipf: f64) -> Check {
    between(&format!("{at}.{name}"), f64::from(texts), least, 1e9)?;
    between(&format!("{at}.zipf"), zipf, 0.0, 100.0)
}

fn laws(at: &str, laws: &[(&str, &Law)]) -> Check {
    laws.iter().try_for_each(|(name, spec)| law(&format!("{at}.{name}"), spec))
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
