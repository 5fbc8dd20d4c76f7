//! Prometheus's text format, read tolerantly: what is no line of it is counted and passed over.

/// A line that says something.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// A value.
    Sample(Sample<'a>),
    /// A metric that exists, by its `# TYPE`, even where it has no value yet.
    Declared(&'a str),
    /// No line of the format.
    Bad,
}

/// One value of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// Name of the metric.
    pub(super) name: &'a str,
    /// Name and labels as they are written: what tells it from others of the metric.
    pub(super) series: &'a str,
    /// Its value; may be infinite or no number at all.
    pub(super) value: f64,
}

/// The lines of a page, without comments and blank ones.
pub(super) fn lines(page: &str) -> impl Iterator<Item = Line<'_>> {
    page.lines().map(str::trim).filter(|line| !line.is_empty()).filter_map(|line| {
        let Some(comment) = line.strip_prefix('#') else {
            return Some(sample(line).map_or(Line::Bad, Line::Sample));
        };
        let mut words = comment.split_whitespace();
        (words.next() == Some("TYPE")).then(|| words.next().map(Line::Declared)).flatten()
    })
}

/// `name{labels} value`, perhaps with a timestamp and more after it, which are not read.
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let labels = rest.trim_start();
    let rest = if labels.starts_with('{') { &labels[labels_end(labels)?..] } else { rest };
    let series = line[..line.len() - rest.len()].trim_end();
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, series, value })
}

/// One past the brace that ends `labels`; a quoted value may hold braces, and quotes escaped by `\`.
fn labels_end(labels: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(page: &str) -> Vec<(&str, &str, f64)> {
        let sample = |line| match line {
            Line::Sample(sample) => Some((sample.name, sample.series, sample.value)),
            _ => None,
        };
        lines(page).filter_map(sample).collect()
    }

    #[test]
    fn values_are_read_with_labels_escapes_exponents_and_timestamps() {
        let page = concat!(
            "# HELP a:b_total Some help.\n",
            "a:b_total{x=\"}\\\"{\",y=\"\\\\\"} 1.5e+06 1395066363000\r\n",
            "plain 3\n",
            "  spaced {x=\"1\"}  -0.25  # {trace_id=\"7\"} 1\n",
            "\n",
        );
        let expected = [
            ("a:b_total", "a:b_total{x=\"}\\\"{\",y=\"\\\\\"}", 1.5e6),
            ("plain", "plain", 3.0),
            ("spaced", "spaced {x=\"1\"}", -0.25),
        ];
        assert_eq!(values(page), expected);
        assert!(!lines(page).any(|line| line == Line::Bad));
    }

    #[test]
    fn infinities_and_no_numbers_are_values() {
        let found = values("a +Inf\nb -Inf\nc NaN\n");
        assert_eq!((found[0].2, found[1].2), (f64::INFINITY, f64::NEG_INFINITY));
        assert!(found[2].2.is_nan());
    }

    #[test]
    fn a_type_says_that_a_metric_exists() {
        let found: Vec<Line> = lines("# TYPE a_total counter\n# HELP b no\n# TYPE\n#\n").collect();
        assert_eq!(found, [Line::Declared("a_total")]);
    }

    #[test]
    fn what_is_no_line_of_the_format_is_bad_and_stops_nothing() {
        let page = "<html>\na{x=\"1\" 2\nb{} \nc one\n9d 1\n{x=\"1\"} 2\ne\n\u{e9} 1\nok 1\n";
        assert_eq!(lines(page).filter(|line| *line == Line::Bad).count(), 8);
        assert_eq!(values(page), [("ok", "ok", 1.0)]);
    }

    proptest! {
        #[test]
        fn no_page_makes_it_fail(page in "[a-z{}\"\\\\=, \n0-9#.\u{e9}]{0,200}") {
            lines(&page).count();
        }
    }
}
