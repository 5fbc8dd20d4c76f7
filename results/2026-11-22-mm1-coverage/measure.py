"""Replicates sweep.toml 200 times with other seeds and counts how often the reported 95 % interval of the mean
queue time contains the analytic mean. Usage: measure.py KVROUTE   (in this folder)"""
import json, math, subprocess, sys, tempfile

MEAN, LOAD = 25, 0.7      # of the exponential law, tokens; lengths are rounded to whole tokens, at least 1
tail = [1.0] + [math.exp(-(k - 0.5) / MEAN) for k in range(2, 5000)]                  # P(N >= k), k = 1, 2, ...
service = sum(tail)
service2 = sum((2 * k - 1) * p for k, p in enumerate(tail, 1))
wait = LOAD / service * service2 / (2 * (1 - LOAD))                                  # Pollaczek-Khinchine, ms

means, counts = [], {"t95": [0, 0, 0], "bootstrap95": [0, 0, 0]}
for replication in range(200):
    with tempfile.TemporaryDirectory() as out:
        seed = str(1000 * (replication + 1))
        command = [sys.argv[1], "sweep", "sweep.toml", "--seed", seed, "--no-plots", "--out", out + "/r"]
        subprocess.run(command, check=True, capture_output=True)
        metric = json.load(open(out + "/r/summary.json"))["cells"][0]["metrics"]["queue_avg_ms"]
    means.append(metric["mean"])
    for name, count in counts.items():
        low, high = metric[name]
        count[0 if high < wait else 2 if low > wait else 1] += 1
print(f"analytic mean {wait:.3f} ms; mean of {len(means)} replications {sum(means) / len(means):.3f} ms")
for name, (low, inside, high) in counts.items():
    print(f"{name}: inside {inside} of {len(means)} ({100 * inside / len(means):.1f} %), too low {low}, too high {high}")
