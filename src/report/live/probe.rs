//! The rows of a probe as the CSV files that `kvroute calibrate` reads.

use crate::live::probe::Probed;
use crate::units::Nanos;
use std::fmt::Write;

/// The files, by their names in the run's folder; those without rows are left out.
pub fn files(probed: &Probed) -> Vec<(&'static str, String)> {
    let seconds = |time: Nanos| format!("{}.{:09}", time.0 / 1_000_000_000, time.0 % 1_000_000_000);
    let mut prefill = String::from("endpoint,context_cached,uncached,ttft_s\n");
    for row in &probed.prefill {
        let ttft = seconds(row.ttft);
        let _ = writeln!(prefill, "{},{},{},{ttft}", row.endpoint + 1, row.cached, row.uncached);
    }
    let mut decode = String::from("endpoint,batch,context,itl_median_s\n");
    for row in &probed.decode {
        let itl = seconds(row.itl);
        let _ = writeln!(decode, "{},{},{},{itl}", row.endpoint + 1, row.batch, row.context);
    }
    let mut beside = String::from("endpoint,beside_batch,beside_context,uncached,gap_s\n");
    for row in &probed.beside {
        let gap = seconds(row.gap);
        let _ = writeln!(beside, "{},1,{},{},{gap}", row.endpoint + 1, row.context, row.uncached);
    }
    let all = [
        ("probe-prefill.csv", prefill),
        ("probe-decode.csv", decode),
        ("probe-beside.csv", beside),
    ];
    all.into_iter().filter(|(_, text)| text.lines().count() > 1).collect()
}
