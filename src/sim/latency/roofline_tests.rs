use super::*;

/// layers, hidden, heads, KV heads, head size, feed-forward, vocabulary.
fn spec(shape: [u32; 7], peak_tflops: f64, memory_gb_s: f64, mfu: f64, count: u32) -> RooflineSpec {
    let [layers, hidden_size, heads, kv_heads, head_size, ffn_size, vocabulary] = shape;
    RooflineSpec {
        shape: ModelShape {
            layers,
            hidden_size,
            heads,
            kv_heads,
            head_size,
            ffn_size,
            vocabulary,
            experts: 1,
            experts_per_token: 1,
            weight_bytes: 2.0,
            kv_bytes: 2.0,
        },
        gpu: GpuSheet {
            peak_tflops,
            memory_gb_s,
            count,
            mfu,
            mbu: 0.8,
            all_reduce_us: 8.0,
            bus_gb_s: 300.0,
        },
        overhead: Overhead::default(),
    }
}

const LLAMA_8B: [u32; 7] = [32, 4096, 32, 8, 128, 14_336, 128_256];
const LLAMA_70B: [u32; 7] = [80, 8192, 64, 8, 128, 28_672, 128_256];
const QWEN_32B: [u32; 7] = [64, 5120, 64, 8, 128, 25_600, 151_936];
const QWEN_600M: [u32; 7] = [28, 1024, 16, 8, 128, 3072, 151_936];

fn prefill(new: u32, context: u32) -> BatchShape {
    let mut batch = BatchShape::default();
    batch.prefill(context, new);
    batch
}

fn decode(sequences: u32, context: u32) -> BatchShape {
    let mut batch = BatchShape::default();
    (0..sequences).for_each(|_| batch.decode(context));
    batch
}

/// A row of the reference: model, ms per new token, per new token and context token, per step for
/// the weights, per context token, decode of 64 sequences at 2,048.
type Row = (RooflineSpec, f64, f64, f64, f64, f64);

#[test]
fn the_reduced_coefficients_of_the_reference_come_out() {
    let h100 = |shape, count| spec(shape, 989.0, 3350.0, 0.45, count);
    let a100 = spec(LLAMA_8B, 312.0, 2039.0, 0.38, 1);
    let rows: [Row; 6] = [
        (h100(QWEN_600M, 1), 0.00198, 5.15e-7, 0.44, 4.28e-5, 6.1),
        (a100, 0.1177, 4.42e-6, 9.20, 8.04e-5, 19.7),
        (h100(LLAMA_8B, 1), 0.03135, 1.18e-6, 5.60, 4.89e-5, 12.0),
        (h100(QWEN_32B, 2), 0.0701, 2.36e-6, 11.9, 4.89e-5, 18.3),
        (h100(LLAMA_70B, 4), 0.0769, 1.47e-6, 13.0, 3.06e-5, 17.0),
        (h100(LLAMA_70B, 8), 0.0384, 7.4e-7, 6.5, 1.53e-5, 8.5),
    ];
    for (spec, token, attention, weights, kv, decode_64) in rows {
        let close = |ours: f64, theirs: f64| {
            assert!((ours / theirs - 1.0).abs() < 0.02, "{ours}, reference {theirs}: {spec:?}");
        };
        close(spec.compute_ms(&prefill(1, 0)), token);
        close(
            spec.compute_ms(&prefill(1, 1001)) - spec.compute_ms(&prefill(1, 1)),
            1e3 * attention,
        );
        close(2.0 * spec.memory_ms(&decode(1, 1)) - spec.memory_ms(&decode(1, 2)), weights);
        close(spec.memory_ms(&decode(1, 1001)) - spec.memory_ms(&decode(1, 1)), 1e3 * kv);
        close(spec.memory_ms(&decode(64, 2048)), decode_64);
    }
}

#[test]
fn no_step_exceeds_the_hardware() {
    for spec in [
        spec(LLAMA_8B, 989.0, 3350.0, 1.0, 1),
        spec(LLAMA_70B, 989.0, 4800.0, 0.45, 8),
        spec(QWEN_600M, 312.0, 2039.0, 0.38, 1),
    ] {
        let model = Roofline::new(&spec);
        for new in [1, 16, 512, 8192, 131_072] {
            for context in [0, 1024, 65_536] {
                for sequences in [0, 1, 256] {
                    let mut batch = decode(sequences, context + 1);
                    batch.prefill(context, new);
                    let seconds = model.step(&batch).as_secs_f64();
                    let peak = spec.gpu.peak_tflops * 1e12 * spec.gpus();
                    assert!(spec.flops(&batch) / seconds <= peak);
                    let bandwidth = spec.gpu.memory_gb_s * 1e9 * spec.gpus();
                    assert!(spec.bytes(&batch) / seconds <= bandwidth);
                }
            }
        }
    }
}

#[test]
fn mixtures_of_experts_compute_few_experts_and_read_those_that_tokens_touch() {
    let dense = spec([48, 2048, 32, 4, 128, 768, 151_936], 989.0, 3350.0, 0.45, 1);
    let mut moe = dense.clone();
    (moe.shape.experts, moe.shape.experts_per_token) = (128, 8);
    moe.check().unwrap();
    assert!((moe.shape.experts_touched(1.0) - 8.0).abs() < 1e-9);
    assert!((moe.shape.experts_touched(4096.0) - 128.0).abs() < 1e-6);
    // Qwen3-30B-A3B: 3.3 B weights active and 30.5 B in all, 0.6 B of them embeddings and head.
    assert!((moe.shape.layer_weights(8.0) / 2.72e9 - 1.0).abs() < 0.02);
    assert!((moe.shape.layer_weights(128.0) / 29.9e9 - 1.0).abs() < 0.02);
    let per_step = |spec: &RooflineSpec, n| spec.memory_ms(&decode(n, 1)) / f64::from(n);
    assert!(per_step(&moe, 16) < per_step(&moe, 1));
    assert!(moe.memory_ms(&decode(16, 1)) > 4.0 * moe.memory_ms(&decode(1, 1)));
}

#[test]
fn shares_of_the_hardware_above_one_are_refused() {
    let good = spec(LLAMA_8B, 989.0, 3350.0, 0.45, 1);
    assert_eq!(good.check(), Ok(()));
    for share in [0.0, 1.01, f64::NAN] {
        let mut bad = good.clone();
        bad.gpu.mfu = share;
        assert!(bad.check().unwrap_err().contains("gpu.mfu"));
    }
    let mut bad = good.clone();
    bad.shape.layers = 0;
    assert!(bad.check().unwrap_err().contains("shape.layers = 0"));
    let mut bad = good;
    (bad.gpu.count, bad.gpu.bus_gb_s) = (2, 0.0);
    assert!(bad.check().unwrap_err().contains("gpu.bus_gb_s"));
}
