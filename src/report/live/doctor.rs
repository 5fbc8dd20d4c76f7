//! What `kvroute live doctor` prints: a line for each check, with cause and cure where it is not well.

use crate::live::doctor::finding::{Diagnosis, Finding, Status};
use crate::report::format::plural;
use std::fmt::Write;

/// Places that are named; of more, their number.
const PLACES: usize = 3;
/// Width of the longest check's name.
const NAME: usize = 13;

/// The text of a diagnosis.
pub fn render(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    diagnosis.findings.iter().for_each(|finding| line(&mut text, finding));
    let Diagnosis { passed, warnings, failed, skipped, .. } = diagnosis;
    let warnings = plural(*warnings as u64, "warning");
    text + &format!("\n{failed} failed, {warnings}, {passed} ok, {skipped} skipped\n")
}

fn line(text: &mut String, finding: &Finding) {
    let status = match finding.status {
        Status::Pass => "ok  ",
        Status::Warn => "WARN",
        Status::Fail => "FAIL",
        Status::Skip => "skip",
    };
    let name = finding.check.name();
    let mut add = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    add(format!("{status}  {name:NAME$}  {}{}", finding.seen, places(&finding.at)));
    let indent = " ".repeat(status.len() + NAME + 4);
    if let Some(cause) = &finding.cause {
        add(format!("{indent}cause: {cause}"));
    }
    if let Some(cure) = &finding.cure {
        add(format!("{indent}cure:  {cure}"));
    }
}

fn places(at: &[String]) -> String {
    match at.len() {
        0 => String::new(),
        few if few <= PLACES => format!(" ({})", at.join(", ")),
        many => format!(" ({}, ... {many} in all)", at[..PLACES].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::doctor::finding::Check;

    #[test]
    fn each_check_is_a_line_with_cause_and_cure_under_what_is_wrong() {
        let mut findings = vec![
            Finding::fail(Check::UsageDetails, "nobody tells", "it is off", "switch it on")
                .at("http://h"),
            Finding::skip(Check::KvEvents, "none given"),
        ];
        findings
            .extend((0..5).map(|n| Finding::pass(Check::Endpoint, "answers").at(format!("u{n}"))));
        let expected = "
ok    endpoint       answers (u0, u1, u2, ... 5 in all)
FAIL  usage-details  nobody tells (http://h)
                     cause: it is off
                     cure:  switch it on
skip  kv-events      none given

1 failed, 0 warnings, 1 ok, 1 skipped
";
        assert_eq!(render(&Diagnosis::of(findings)), expected.trim_start());
    }
}
