//! The report as text for people: what it is, how long, when, and what caches would reuse.

use super::{Arrivals, Distribution, Lru, Report, TouchOrder};
use crate::workload::trace;
use std::fmt::{self, Display, Formatter};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.totals(f)?;
        self.lengths(f)?;
        arrivals(f, self.arrivals.as_ref())?;
        self.caches(f)?;
        self.lru_table(f)?;
        self.round_robin_table(f)
    }
}

impl Report {
    fn totals(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let trace = &self.trace;
        writeln!(f, "format         {:?}, SHA-256 {:.12}", trace.format, trace.sha256)?;
        let (requests, sessions) = (grouped(self.requests), grouped(trace.sessions));
        writeln!(f, "requests       {requests} in {sessions} sessions")?;
        if trace.failed_rows > 0 {
            let failed = grouped(trace.failed_rows);
            writeln!(f, "left out       {failed} that failed or have no answer")?;
        }
        if let Some(first) = &trace.skipped.first {
            let lines = grouped(trace.skipped.lines);
            writeln!(f, "left out       {lines} bad lines; the first: {first}")?;
        }
        let (prompt, output) = (grouped(self.prompt_tokens), grouped(self.output_tokens));
        writeln!(f, "tokens         {prompt} prompt, {output} output")
    }

    fn lengths(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [min, mean, p50, p90, p99, max] = ["min", "mean", "p50", "p90", "p99", "max"];
        writeln!(f, "\nlength         {min:>9} {mean:>9} {p50:>9} {p90:>9} {p99:>9} {max:>9}")?;
        distribution(f, "prompt", &self.lengths.prompt_tokens)?;
        distribution(f, "output", &self.lengths.output_tokens)
    }

    fn caches(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (blocks, unique) = (grouped(self.blocks), grouped(self.unique_blocks));
        let size = self.block_tokens;
        writeln!(f, "\nblocks         {blocks} of {size} tokens, {unique} different")?;
        if !trace::has_prefixes(self.trace.format) {
            return writeln!(f, "reuse          unknown: this format records lengths only");
        }
        let full = share(self.infinite.full_block_hits, self.full_blocks);
        writeln!(
            f,
            "endless cache  {} of prompt tokens, {} of blocks, {full} of full blocks",
            share(self.infinite.hit_tokens, self.prompt_tokens),
            share(self.infinite.hit_blocks, self.blocks),
        )
    }

    /// One line for each capacity, the touch orders side by side.
    fn lru_table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.lru.is_empty() || !trace::has_prefixes(self.trace.format) {
            return Ok(());
        }
        let mut orders: Vec<TouchOrder> = self.lru.iter().map(|lru| lru.touch_order).collect();
        orders.truncate(orders.len() / self.capacities());
        write!(f, "\nLRU capacity   of different           tokens")?;
        for order in &orders {
            write!(f, "   token hits, blocks ({})", order.name())?;
        }
        writeln!(f)?;
        let mut rows = self.lru.chunks(orders.len());
        rows.try_for_each(|row| self.lru_row(f, row))
    }

    /// How many capacities the LRU list holds; the touch orders follow each other within each.
    fn capacities(&self) -> usize {
        let first = self.lru.first().map(|lru| lru.touch_order);
        let same = |lru: &&Lru| Some(lru.touch_order) == first;
        self.lru.iter().filter(same).count().max(1)
    }

    fn lru_row(&self, f: &mut Formatter<'_>, row: &[Lru]) -> fmt::Result {
        let capacity = row[0].capacity_blocks;
        write!(
            f,
            "{:>12} {:>14} {:>16}",
            grouped(capacity),
            share(capacity, self.unique_blocks),
            grouped(capacity.saturating_mul(u64::from(self.block_tokens))),
        )?;
        for lru in row {
            let tokens = share(lru.hit_tokens, self.prompt_tokens);
            write!(f, " {tokens:>12} {:>12}", share(lru.hit_blocks, self.blocks))?;
        }
        writeln!(f)
    }

    fn round_robin_table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !trace::has_prefixes(self.trace.format) {
            return Ok(());
        }
        for entry in &self.round_robin_infinite {
            writeln!(
                f,
                "{}round robin    {} of prompt tokens over {} endless caches",
                if entry == &self.round_robin_infinite[0] { "\n" } else { "" },
                share(entry.hit_tokens, self.prompt_tokens),
                entry.workers,
            )?;
        }
        Ok(())
    }
}

fn distribution(f: &mut Formatter<'_>, name: &str, d: &Distribution) -> fmt::Result {
    let Distribution { min, mean, p50, p90, p99, max } = d;
    writeln!(f, "  {name:<12} {min:>9} {mean:>9.1} {p50:>9} {p90:>9} {p99:>9} {max:>9}")
}

fn arrivals(f: &mut Formatter<'_>, arrivals: Option<&Arrivals>) -> fmt::Result {
    let Some(arrivals) = arrivals else {
        return writeln!(f, "\narrivals       not recorded");
    };
    let or_dash = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
    writeln!(
        f,
        "\narrivals       {:.1} s, {} requests/s, burstiness (CV of gaps) {}",
        arrivals.duration_s,
        or_dash(arrivals.rate_per_s),
        or_dash(arrivals.gap_cv),
    )?;
    writeln!(
        f,
        "               {} different times; {} requests share theirs with others, at most {} arrive at once",
        grouped(arrivals.distinct_times),
        grouped(arrivals.simultaneous_requests),
        arrivals.most_at_one_time,
    )
}

/// With a comma between thousands.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".into();
    }
    format!("{:.1} %", 100.0 * part as f64 / whole as f64)
}
