//! `kvroute presets`: what the latency presets are and how far to trust them.

use kvroute::sim::latency::{Preset, builtin};
use std::fmt::Write;

/// Widest line.
const WIDTH: usize = 100;

pub fn exec() -> anyhow::Result<()> {
    let presets = builtin();
    let mut text =
        format!("{:<32}{:>14}{:>14}{:>14}\n", "preset", "KV tokens", "blocks of 16", "KV B/token");
    for preset in &presets {
        let known = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
        writeln!(
            text,
            "{:<32}{:>14}{:>14}{:>14}",
            preset.name,
            known(preset.kv_tokens),
            known(preset.kv_tokens.map(|tokens| tokens / 16)),
            known(preset.kv_bytes_per_token)
        )?;
    }
    text.push_str(
        "\nKV tokens and blocks are of one worker, KV B/token of the whole model. A step leaves out host time\n\
         (scheduling, sampling, HTTP); add it with --set cluster.host_ms=MS.\n",
    );
    for preset in &presets {
        describe(&mut text, preset)?;
    }
    super::print(&text)
}

fn describe(text: &mut String, preset: &Preset) -> std::fmt::Result {
    writeln!(text, "\n{}: {}", preset.name, preset.about)?;
    let parts = [("source", &preset.source), ("error", &preset.error), ("valid", &preset.valid)];
    for (name, part) in parts {
        wrap(text, &format!("{name}: {part}"))?;
    }
    Ok(())
}

/// Breaks a line between words, but not before a percent sign; what follows the first line is
/// indented further.
fn wrap(text: &mut String, line: &str) -> std::fmt::Result {
    let mut shown = String::from(" ");
    for word in line.replace(" %", "\u{a0}%").split(' ') {
        if shown.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(text, "{shown}")?;
            shown = "   ".into();
        }
        write!(shown, " {}", word.replace('\u{a0}', " "))?;
    }
    writeln!(text, "{shown}")
}
