//! `kvroute presets`: what the latency presets are and how far to trust them.

use kvroute::sim::latency::builtin;
use std::fmt::Write;

pub fn exec() -> anyhow::Result<()> {
    let mut text = String::new();
    for preset in builtin() {
        let tokens = preset.kv_tokens.map_or("not known".into(), |tokens| {
            format!("{tokens} KV tokens per worker, {} blocks of 16", tokens / 16)
        });
        writeln!(text, "{}\n  {}; {tokens}", preset.name, preset.about)?;
        writeln!(text, "  source: {}\n  error:  {}\n", preset.source, preset.error)?;
    }
    text.push_str("A step leaves out host time (scheduling, sampling, HTTP); add it with --set cluster.host_ms=MS.\n");
    super::print(&text)
}
