//! What a page of metrics tells of the workers behind it: sizes that do not change.

use super::prometheus::{self, Line, Sample};
use serde::Serialize;

/// Sizes of a worker, as far as its page tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerFacts {
    /// Tokens per KV block.
    pub block_tokens: Option<u32>,
    /// Usable KV blocks.
    pub kv_blocks: Option<u32>,
    /// Token budget of a scheduler step.
    pub max_batched_tokens: Option<u32>,
    /// Running requests at most.
    pub max_seqs: Option<u32>,
    /// Prefixes are cached at all.
    pub prefix_caching: Option<bool>,
}

impl WorkerFacts {
    /// Those of the first worker on `page`.
    pub fn of(page: &str) -> WorkerFacts {
        let mut facts = WorkerFacts::default();
        for line in prometheus::lines(page) {
            if let Line::Sample(sample) = line {
                facts.take(&sample);
            }
        }
        facts
    }

    fn take(&mut self, sample: &Sample) {
        let whole =
            |value: f64| (value >= 1.0 && value <= f64::from(u32::MAX)).then_some(value as u32);
        match sample.name {
            "vllm:cache_config_info" => {
                let number = |name| label(sample.series, name)?.parse::<u32>().ok();
                first(&mut self.block_tokens, number("block_size"));
                // The first block of the pool stands for no block and holds nothing.
                let usable = number("num_gpu_blocks").and_then(|blocks| blocks.checked_sub(1));
                first(&mut self.kv_blocks, usable);
                let caching = label(sample.series, "enable_prefix_caching");
                let caching = caching.map(|caching| caching.eq_ignore_ascii_case("true"));
                self.prefix_caching = self.prefix_caching.or(caching);
            }
            "sglang:cache_config_info" => {
                let size = label(sample.series, "page_size").and_then(|size| size.parse().ok());
                first(&mut self.block_tokens, size);
            }
            "dynamo_frontend_model_kv_cache_block_size" => {
                first(&mut self.block_tokens, whole(sample.value));
            }
            "dynamo_frontend_model_total_kv_blocks" => {
                first(&mut self.kv_blocks, whole(sample.value));
            }
            "dynamo_frontend_model_max_num_batched_tokens" => {
                first(&mut self.max_batched_tokens, whole(sample.value));
            }
            "dynamo_frontend_model_max_num_seqs" => first(&mut self.max_seqs, whole(sample.value)),
            _ => {}
        }
    }

    /// What `self` does not know is taken from `other`.
    pub fn or(self, other: WorkerFacts) -> WorkerFacts {
        WorkerFacts {
            block_tokens: self.block_tokens.or(other.block_tokens),
            kv_blocks: self.kv_blocks.or(other.kv_blocks),
            max_batched_tokens: self.max_batched_tokens.or(other.max_batched_tokens),
            max_seqs: self.max_seqs.or(other.max_seqs),
            prefix_caching: self.prefix_caching.or(other.prefix_caching),
        }
    }
}

fn first(known: &mut Option<u32>, told: Option<u32>) {
    *known = known.or(told.filter(|value| *value > 0));
}

/// The value of a label; none of those that are read holds escapes.
fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let pattern = format!("{name}=\"");
    let (at, _) = series.match_indices(&pattern).find(|(at, _)| {
        matches!(series.as_bytes().get(at.wrapping_sub(1)), Some(b'{' | b',' | b' '))
    })?;
    series[at + pattern.len()..].split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vllm_tells_its_blocks_in_labels_and_one_of_them_holds_nothing() {
        let page = concat!(
            "# TYPE vllm:cache_config_info gauge\n",
            "vllm:cache_config_info{_block_size_resolved=\"True\",block_size=\"32\",",
            "effective_attention_block_size=\"64\",hash_block_size=\"None\",num_gpu_blocks=\"320\"} 1.0\n",
        );
        let expected =
            WorkerFacts { block_tokens: Some(32), kv_blocks: Some(319), ..WorkerFacts::default() };
        assert_eq!(WorkerFacts::of(page), expected);
    }

    #[test]
    fn whether_prefixes_are_cached_and_the_size_of_sglangs_pages() {
        let caching = |told| {
            let page = format!("vllm:cache_config_info{{enable_prefix_caching=\"{told}\"}} 1.0\n");
            WorkerFacts::of(&page).prefix_caching
        };
        assert_eq!((caching("True"), caching("False")), (Some(true), Some(false)));
        let sglang = "sglang:cache_config_info{num_pages=\"9\",page_size=\"1\"} 1\n";
        let expected = WorkerFacts { block_tokens: Some(1), ..WorkerFacts::default() };
        assert_eq!(WorkerFacts::of(sglang), expected);
    }

    #[test]
    fn dynamo_tells_all_of_them_in_gauges() {
        let page = concat!(
            "dynamo_frontend_model_kv_cache_block_size{model=\"tiny\"} 16\n",
            "dynamo_frontend_model_max_num_batched_tokens{model=\"tiny\"} 8192\n",
            "dynamo_frontend_model_max_num_seqs{model=\"tiny\"} 256\n",
            "dynamo_frontend_model_total_kv_blocks{model=\"tiny\"} 4096\n",
        );
        let expected = WorkerFacts {
            block_tokens: Some(16),
            kv_blocks: Some(4096),
            max_batched_tokens: Some(8192),
            max_seqs: Some(256),
            prefix_caching: None,
        };
        assert_eq!(WorkerFacts::of(page), expected);
        assert_eq!(WorkerFacts::of("").or(expected), expected);
    }

    #[test]
    fn what_is_no_size_is_not_known() {
        let page = "vllm:cache_config_info{block_size=\"None\",num_gpu_blocks=\"0\"} 1\n\
            dynamo_frontend_model_total_kv_blocks 0\ndynamo_frontend_model_max_num_seqs NaN\n";
        assert_eq!(WorkerFacts::of(page), WorkerFacts::default());
    }
}
