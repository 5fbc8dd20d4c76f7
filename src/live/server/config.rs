//! What a page says of its server's prefix cache.

use super::Page;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheConfig {
    /// Tokens per block.
    pub block_tokens: Option<u32>,
    /// Prefixes are cached at all.
    pub prefix_caching: Option<bool>,
}

/// Metrics whose labels say it, and the label that holds the size of a block.
const INFOS: [(&str, &str); 2] =
    [("vllm:cache_config_info", "block_size"), ("sglang:cache_config_info", "page_size")];

/// The configuration that `page` shows, if any: vLLM's and SGLang's do.
pub fn cache_config(page: &str) -> Option<CacheConfig> {
    let page = Page::of(page);
    INFOS.iter().find_map(|(metric, size)| {
        let series = page.samples.get(metric)?.first()?.series;
        let caching = label(series, "enable_prefix_caching");
        Some(CacheConfig {
            block_tokens: label(series, size).and_then(|size| size.parse().ok()),
            prefix_caching: caching.map(|caching| caching.eq_ignore_ascii_case("true")),
        })
    })
}

/// The value of a label; the ones looked for hold no escapes.
fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("{name}=\"");
    let is_start = |(at, _): &(usize, &str)| series[..*at].ends_with(['{', ',', ' ']);
    let (at, _) = series.match_indices(&start).find(is_start)?;
    series[at + start.len()..].split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_blocks_and_whether_prefixes_are_cached() {
        let page = |caching| {
            format!(
                "vllm:cache_config_info{{_block_size=\"7\",block_size=\"32\",\
                 effective_attention_block_size=\"64\",enable_prefix_caching=\"{caching}\"}} 1.0\n"
            )
        };
        let config =
            |caching| CacheConfig { block_tokens: Some(32), prefix_caching: Some(caching) };
        assert_eq!(cache_config(&page("True")), Some(config(true)));
        assert_eq!(cache_config(&page("False")), Some(config(false)));
        let sglang = "sglang:cache_config_info{num_pages=\"9\",page_size=\"1\"} 1\n";
        let found = CacheConfig { block_tokens: Some(1), prefix_caching: None };
        assert_eq!(cache_config(sglang), Some(found));
        assert_eq!(cache_config("vllm:num_requests_running 1\n"), None);
        let unsure = "vllm:cache_config_info{block_size=\"None\"} 1\n";
        assert_eq!(cache_config(unsure), Some(CacheConfig::default()));
    }
}
