//! A grid in plain words: which settings are best, what leaving them costs, and what never helps.

use super::effects::{Effect, Side, effects};
use super::grid::{Best, Level, Objective, Point, best};
use crate::stats::mean;

/// One or more sentences on the whole grid. Every claim in it is significant at 95 %, or says not.
pub fn recommend(points: &[Point], objective: &Objective) -> String {
    let Some(best) = best(points, objective) else {
        return format!(
            "No point has a {} that counts: all are overloaded; lower the load.",
            objective.label
        );
    };
    let mut text = verdict(points, &best, objective);
    if !best.excluded.is_empty() {
        text += &format!(
            " Left out as overloaded or failed: {} of {} points.",
            best.excluded.len(),
            points.len()
        );
    }
    text
}

fn verdict(points: &[Point], best: &Best, objective: &Objective) -> String {
    let counted = points.len() - best.excluded.len();
    let point = &points[best.place];
    if counted > 1 && point.values(&objective.metric).len() < 2 {
        return format!(
            "{} has the best {}; with one seed nothing can be said about chance, give --seeds 5.",
            place(point),
            objective.label
        );
    }
    if best.equals.len() == counted {
        return format!(
            "No setting is significantly better than another in {} once picking the best of {counted} is \
             allowed for: keep the defaults, or give more seeds.",
            objective.label
        );
    }
    let effects = effects(points, best, objective);
    let value = mean(point.values(&objective.metric));
    let mut clauses = vec![format!(
        "{} is best here ({} {})",
        ranges(&effects),
        objective.label,
        three_digits(value)
    )];
    clauses.extend(effects.iter().flat_map(|effect| costs(effect, objective)));
    format!("{}.", clauses.join("; "))
}

/// `overlap weight 1 at temperature 0`.
fn place(point: &Point) -> String {
    let each: Vec<String> =
        point.settings.iter().map(|(name, level)| format!("{name} {level}")).collect();
    each.join(" at ")
}

/// `overlap weight 1–2 at temperature 0`; settings of which every level is as good come last.
fn ranges(effects: &[Effect<'_>]) -> String {
    let (any, some): (Vec<&Effect>, Vec<&Effect>) =
        effects.iter().partition(|effect| effect.good.clone().count() == effect.levels.len());
    let good = some.iter().map(|effect| format!("{} {}", effect.name, good_levels(effect)));
    let any = any.iter().map(|effect| format!("any {}", effect.name));
    good.chain(any).collect::<Vec<_>>().join(" at ")
}

fn good_levels(effect: &Effect<'_>) -> String {
    let (first, last) = (effect.levels[*effect.good.start()], effect.levels[*effect.good.end()]);
    match (first, last) {
        _ if first == last => first.to_string(),
        (Level::Number(_), Level::Number(_)) => format!("{first}–{last}"),
        _ => {
            let names: Vec<String> =
                effect.good.clone().map(|place| effect.levels[place].to_string()).collect();
            names.join(" or ")
        }
    }
}

/// `overlap weight 0.5 or less costs 31 % ± 4 % TTFT p99`, `temperature 0.2 or more costs 8 % ± 1 %
/// TTFT p99 or more and never helps`.
fn costs(effect: &Effect<'_>, objective: &Objective) -> Vec<String> {
    let [below, above] = &effect.sides;
    let sides = [(below, "less"), (above, "more")];
    let told = sides.into_iter().filter_map(|(side, word)| Some((side.as_ref()?, word)));
    told.map(|(side, word)| cost(effect.name, side, word, objective)).collect()
}

fn cost(name: &str, side: &Side<'_>, word: &str, objective: &Objective) -> String {
    let levels = match (side.nearest, side.more) {
        (Level::Number(_), true) => format!("{name} {} or {word}", side.nearest),
        (Level::Name(_), true) => format!("any other {name}"),
        (_, false) => format!("{name} {}", side.nearest),
    };
    let helps = if side.never_helps { " and never helps" } else { ", but helps elsewhere" };
    let Some(cost) = side.cost else {
        return format!("{levels} is overloaded");
    };
    if !side.significant {
        return format!("{levels} makes no significant difference everywhere{helps}");
    }
    let percent = |value: f64| match value.abs() {
        size if size < 9.95 => format!("{value:.1} %"),
        _ => format!("{value:.0} %"),
    };
    let least = if side.more { "at least " } else { "" };
    format!(
        "{levels} costs {least}{} ± {} {}{helps}",
        percent(cost.mean),
        percent(cost.half_width),
        objective.label
    )
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::samples::{clear, grid, ttft};
    use super::*;

    #[test]
    fn a_clear_optimum_in_words() {
        let text = recommend(&clear(), &ttft());
        assert!(
            text.starts_with("overlap weight 1–2 at temperature 0 is best here (TTFT p99 110)"),
            "{text}"
        );
        assert!(text.contains("; overlap weight 0.5 or less costs at least 28 % ± "), "{text}");
        assert!(text.contains("; overlap weight 4 costs 11 % ± "), "{text}");
        assert!(text.contains("; temperature 0.2 or more costs at least 11 % ± "), "{text}");
        assert_eq!(text.matches("and never helps").count(), 3, "{text}");
    }

    #[test]
    fn a_flat_grid_is_called_flat() {
        let text = recommend(&grid(|_, _| 100.0, 5.0), &ttft());
        assert_eq!(
            text,
            "No setting is significantly better than another in TTFT p99 once picking the best of 20 \
             is allowed for: keep the defaults, or give more seeds."
        );
    }

    #[test]
    fn a_setting_that_does_nothing_is_left_free() {
        let weight_alone = grid(|weight, _| 100.0 + 20.0 * (weight - 1.0).abs(), 1.0);
        let text = recommend(&weight_alone, &ttft());
        assert!(text.starts_with("overlap weight 1 at any temperature is best here"), "{text}");
        assert!(!text.contains("temperature 0.2"), "{text}");
    }

    #[test]
    fn an_interaction_is_not_called_useless() {
        // Temperature spoils the best weight, and mends too large ones.
        let crossed = grid(
            |weight, temperature| match weight {
                1.0 => 100.0 + 50.0 * temperature,
                _ => 220.0 - 50.0 * temperature,
            },
            1.0,
        );
        let text = recommend(&crossed, &ttft());
        assert!(text.starts_with("overlap weight 1 at temperature 0 is best here"), "{text}");
        assert!(text.contains("temperature 0.2 or more costs at least 9."), "{text}");
        assert!(text.contains("TTFT p99, but helps elsewhere"), "{text}");
    }

    #[test]
    fn overloaded_points_are_left_out_and_counted() {
        let mut points = clear();
        for point in points.iter_mut().skip(1).step_by(4) {
            point.overloaded = true;
        }
        let text = recommend(&points, &ttft());
        assert!(text.ends_with(" Left out as overloaded or failed: 5 of 20 points."), "{text}");
        assert!(text.contains("temperature 0.2 or more costs at least 27 %"), "{text}");
        points.iter_mut().for_each(|point| point.overloaded = true);
        assert!(recommend(&points, &ttft()).contains("all are overloaded"));
    }

    #[test]
    fn one_seed_gives_no_significance() {
        let mut points = clear();
        points.iter_mut().for_each(|point| point.metrics[0].1.truncate(1));
        let text = recommend(&points, &ttft());
        assert!(text.contains("at temperature 0 has the best TTFT p99; with one seed"), "{text}");
    }
}
