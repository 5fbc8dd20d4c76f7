"""Makes README.md from the runs.csv of scripts/bench-peers.sh: medians, spreads, how many times less."""

import csv
import os
import statistics
import subprocess
import sys
from collections import defaultdict

folder = sys.argv[1]
runs = defaultdict(lambda: defaultdict(list))
with open(f"{folder}/runs.csv") as file:
    for row in csv.DictReader(file):
        case = tuple(int(row[key]) for key in ("workers", "block_tokens", "kv_blocks"))
        runs[case][row["program"]].append((float(row["cpu_s"]), float(row["peak_mb"])))


def cpu(values):
    seconds = [value for value, _ in values]
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def peak(values):
    return f"{max(megabytes for _, megabytes in values):.0f} MB"


def median(values):
    return statistics.median(value for value, _ in values)


lines = []
for (workers, block, blocks), by in runs.items():
    dynamo, ours = by["dynamo"], by["kvroute"]
    lines.append(
        f"| {workers} | {block} | {blocks:,} | {cpu(dynamo)} | {peak(dynamo)} "
        f"| {cpu(ours)} | {peak(ours)} | **{median(dynamo) / median(ours):.0f}** |"
    )
first = next(iter(runs.values()))
ratio = None
if (16, 16, 16384) in runs and (8, 512, 2048) in runs:
    ratio = median(runs[16, 16, 16384]["kvroute"]) / median(runs[8, 512, 2048]["kvroute"])


def shell(command):
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout.strip()


dirty = " and uncommitted changes" if shell("git status --porcelain -- src Cargo.toml") else ""
with open(f"{folder}/README.md", "w") as out:
    out.write(
        f"""# How much CPU does the same replay take in Dynamo?

The Mooncake conversation trace (12,031 requests), `kv` router, Dynamo's engine and latency model, one
core. Whole process, CPU = user + system time, median of {len(first["kvroute"])} runs and their range;
memory is the most of any run. The programs ran in turns (`runs.csv`).

| workers | block tokens | blocks each | Dynamo | | kvroute | | times less CPU |
|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

"""
    )
    if ratio is not None:
        out.write(
            "The first setting, 16-token blocks on 16 workers, costs kvroute "
            f"{ratio:.2f} times what the second does, 512-token blocks on 8.\n\n"
        )
    out.write(
        f"""```
scripts/bench-peers.sh {len(first["kvroute"])}
```

- commit: {shell("git rev-parse --short HEAD")}{dirty}
- Dynamo: {shell(os.path.expanduser("~/.cache/kvroute-peers/dynamo/bin/pip freeze | grep -i dynamo | paste -sd ' '"))}
- machine: {os.cpu_count()} cores, {shell("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2")}
"""
    )
print(f"recorded {folder}")
