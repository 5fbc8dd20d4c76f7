use super::*;

const TRUTH: LinearSpec = LinearSpec {
    step_ms: 12.0,
    prefill_step_ms: 3.0,
    prefill_token_ms: 0.5,
    prefill_free_tokens: 0,
    prefill_attention_ms: 2e-4,
    decode_seq_ms: 0.9,
    decode_context_ms: 4e-4,
};

/// Steps of many shapes, whose times differ from `spec` by what `error` says of each.
fn measured(spec: LinearSpec, error: impl Fn(u32) -> f64) -> Vec<Row> {
    let row = |i: u32| {
        let mut shape = BatchShape::default();
        if i.is_multiple_of(3) {
            shape.prefill(i * 31 % 4096, 1 + i * 97 % 2048);
        }
        (0..i % 17).for_each(|_| shape.decode(1 + i * 61 % 4096));
        let ms = model(&ModelKind::Linear(spec), 0).step(&shape).as_ms_f64();
        Row { shape, ms: ms * (1.0 + error(i)), source: Source::Engine }
    };
    (1..400).map(row).filter(|row| row.shape != BatchShape::default()).collect()
}

fn close(ours: f64, truth: f64, allowed: f64) {
    assert!((ours - truth).abs() <= allowed * truth, "{ours}, true {truth}");
}

#[test]
fn exact_measurements_give_the_coefficients_back() {
    let fit = fit(&measured(TRUTH, |_| 0.0), 0.5).unwrap();
    let spec = fit.spec;
    close(spec.step_ms, TRUTH.step_ms, 1e-4);
    close(spec.prefill_step_ms, TRUTH.prefill_step_ms, 1e-3);
    close(spec.prefill_token_ms, TRUTH.prefill_token_ms, 1e-4);
    close(spec.prefill_attention_ms, TRUTH.prefill_attention_ms, 1e-4);
    close(spec.decode_seq_ms, TRUTH.decode_seq_ms, 1e-3);
    close(spec.decode_context_ms, TRUTH.decode_context_ms, 1e-4);
    assert_eq!(spec.prefill_free_tokens, 0);
    assert!(fit.prefill.held_out.max < 1e-4 && fit.r2 > 0.9999);
}

#[test]
fn free_prefill_tokens_are_found() {
    let truth = LinearSpec { prefill_free_tokens: 192, ..TRUTH };
    let fit = fit(&measured(truth, |_| 0.0), 0.5).unwrap();
    assert_eq!(fit.spec.prefill_free_tokens, 192);
    close(fit.spec.prefill_token_ms, 0.5, 1e-3);
}

/// Weights from the measured times would come out low by the square of the spread, 4 %.
#[test]
fn scattered_measurements_are_fitted_at_their_mean() {
    let rows = measured(TRUTH, |i| if i / 3 % 2 == 0 { 0.2 } else { -0.2 });
    let fit = fit(&rows, 0.0).unwrap();
    let ratios: Vec<f64> = fit.points.iter().map(|p| p.fitted / p.measured).collect();
    let inverse: Vec<f64> = fit.points.iter().map(|p| p.measured / p.fitted).collect();
    close(mean(&inverse), 1.0, 0.005);
    assert!(mean(&ratios) > 1.02);
}

#[test]
fn what_passes_between_steps_is_told_from_the_two_clocks() {
    let mut rows = measured(TRUTH, |_| 0.0);
    for (index, row) in rows.iter_mut().enumerate() {
        // Not in step with the rows held out.
        if index % 5 < 2 {
            (row.ms, row.source) = (row.ms + 4.0, Source::Client);
        }
    }
    let fit = fit(&rows, 0.5).unwrap();
    close(fit.between_steps_ms, 4.0, 1e-3);
    close(fit.spec.step_ms, 16.0, 1e-3);
    assert!(fit.decode.held_out.max < 1e-4);
}

#[test]
fn the_way_to_the_engine_is_told_from_prefill_where_steps_are_measured_without_it() {
    let mut rows = measured(TRUTH, |_| 0.0);
    let is_alone = |row: &Row| row.is_prefill() && row.shape.decode_seqs == 0;
    rows.iter_mut().for_each(|row| row.source = Source::Client);
    for row in rows.iter_mut().filter(|row| is_alone(row)) {
        (row.ms, row.source) = (row.ms + 7.0, Source::Request);
    }
    let both = fit(&rows, 0.0).unwrap();
    close(both.front_ms, 7.0, 1e-3);
    close(both.spec.prefill_step_ms, TRUTH.prefill_step_ms, 1e-2);
    rows.retain(|row| !row.is_prefill() || is_alone(row));
    let alone = fit(&rows, 0.0).unwrap();
    assert_eq!(alone.front_ms, 0.0);
    assert!(alone.prefill.fitted.max < 1e-4, "then it is part of the steps: {:?}", alone.spec);
}

#[test]
fn every_second_row_of_either_kind_is_held_out() {
    let rows = measured(TRUTH, |_| 0.0);
    let held = hold_out(&rows, 0.5);
    for kind in [true, false] {
        let of = rows.iter().zip(&held).filter(|(row, _)| row.is_prefill() == kind);
        let of: Vec<bool> = of.map(|(_, held)| *held).collect();
        assert!(of.chunks(2).all(|pair| pair[0] != *pair.last().unwrap() || pair.len() == 1));
    }
    assert!(hold_out(&rows, 0.0).iter().all(|held| !held));
}

#[test]
fn too_few_rows_are_refused() {
    let rows = measured(TRUTH, |_| 0.0);
    let message = fit(&rows[..20], 0.5).unwrap_err().to_string();
    assert!(message.contains("too few") && message.contains("--holdout"), "{message}");
}
