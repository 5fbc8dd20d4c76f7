"""Makes README.md from the runs.csv that a scripts/bench-*.sh has written: bench-report.py KIND FOLDER [FILE].

Medians over the repeats and their range; FILE holds what the programs said besides."""

import csv
import os
import re
import statistics
import subprocess
import sys


def shell(command):
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout.strip()


def groups(folder, *keys):
    """Rows of runs.csv by these columns, in order of appearance."""
    found = {}
    with open(f"{folder}/runs.csv", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def median(rows, key):
    return statistics.median(float(row[key]) for row in rows)


def spread(rows, key, unit="", scale=1.0):
    values = [float(row[key]) / scale for row in rows]
    places = 3 if max(values) < 1 else 2
    low, middle, high = (f"{value:.{places}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle}{unit} ({low} to {high})"


def peak(rows):
    return f"{max(float(row['peak_mb']) for row in rows):.0f} MB"


def peers(folder, _):
    found = groups(folder, "workers", "block_tokens", "kv_blocks", "program")
    cases = [key[:3] for key in found if key[3] == "dynamo"]
    lines = []
    for case in cases:
        dynamo, ours = found[*case, "dynamo"], found[*case, "kvroute"]
        workers, block, blocks = case
        lines.append(
            f"| {workers} | {block} | {int(blocks):,} | {spread(dynamo, 'cpu_s', ' s')} | {peak(dynamo)} "
            f"| {spread(ours, 'cpu_s', ' s')} | {peak(ours)} "
            f"| **{median(dynamo, 'cpu_s') / median(ours, 'cpu_s'):.0f}** |"
        )
    repeats = len(found[*cases[0], "kvroute"])
    text = f"""# How much CPU does the same replay take in Dynamo?

The Mooncake conversation trace (12,031 requests), `kv` router, Dynamo's engine and latency model, one
core. Whole process, CPU = user + system time, median of {repeats} runs and their range;
memory is the most of any run. The programs ran in turns (`runs.csv`).

| workers | block tokens | blocks each | Dynamo | | kvroute | | times less CPU |
|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

"""
    lines = []
    for small, large in [(("16", "16", "16384"), ("16", "512", "512")), (("8", "16", "65536"), ("8", "512", "2048"))]:
        fine, coarse = found[*small, "kvroute-alone"], found[*large, "kvroute-alone"]
        lines.append(
            f"| {small[0]} | {spread(fine, 'cpu_s', ' s')} | {spread(coarse, 'cpu_s', ' s')} "
            f"| **{median(fine, 'cpu_s') / median(coarse, 'cpu_s'):.2f}** |"
        )
    text += f"""Small blocks: the same clusters with as much room for tokens, kvroute alone, median of {len(fine)} runs in turns.

| workers | 16-token blocks | 512-token blocks | times |
|---|---|---|---|
{chr(10).join(lines)}

"""
    frozen = shell("~/.cache/kvroute-peers/dynamo/bin/pip freeze | grep -i dynamo | paste -sd ' '")
    return text, repeats, [f"Dynamo: {frozen}"]


def decision_us(decisions):
    """Microseconds of a decision of `kv` by number of workers, from criterion's lines."""
    found = re.findall(r"decision, (\d+) workers/kv\s+time:\s+\[\S+ \S+ (\S+) (\S+)", decisions)
    return {int(workers): float(time) * {"ns": 1e-3, "µs": 1.0}[unit] for workers, time, unit in found}


def scale(folder, decisions):
    lines, costs = [], []
    for (workers, requests), rows in groups(folder, "workers", "requests").items():
        each = median(rows, "cpu_s") / int(requests) * 1e6
        costs.append(each)
        lines.append(
            f"| {int(workers):,} | {int(requests):,} | {spread(rows, 'cpu_s', ' s')} | {each:.1f} us | {peak(rows)} |"
        )
        repeats = len(rows)  # in the end those of the large case; the small one runs more often
    ratio, asked = "", decision_us(decisions)
    if {4, 1000} <= asked.keys():
        scoring = asked[1000] - asked[4]
        ratio = (
            f"That is {costs[1] / costs[0]:.1f} times; without what scoring 1,000 workers in place of a few takes, "
            f"{scoring:.1f} us a request, {(costs[1] - scoring) / costs[0]:.2f} times. The rest is memory: the newest "
            "`results/*-profile` says where, and what scoring takes within the run.\n\n"
        )
    text = f"""# What does a request cost on a large cluster?

`multi-turn`, prompts of about 4,000 and outputs of 300 tokens on average, `kv`, one thread. Whole
process, CPU = user + system time, median of {repeats} runs and their range (the small cluster 20 times for each of the
large one, before and after it); memory is the most of any run.

| workers | requests | CPU | per request | memory |
|---|---|---|---|---|
{chr(10).join(lines)}

{ratio}A decision of `kv`, with its index and bookkeeping, by number of workers (`cargo bench`):

```
{decisions}
```

"""
    return text, repeats, []


def sweep_threads(folder, _):
    found = groups(folder, "threads")
    lines = [
        f"| {threads} | {spread(rows, 'wall_s', ' s')} | {spread(rows, 'cpu_s', ' s')} | {peak(rows)} |"
        for (threads,), rows in found.items()
    ]
    times = median(found["1",], "wall_s") / median(found["2",], "wall_s")
    repeats = len(found["1",])
    text = f"""# How much faster is the shipped sweep on two threads?

`workloads/sweeps/weight-temperature.toml`, 155 runs, whole process with plots; median of {repeats} runs and their range.

| threads | wall | CPU | memory |
|---|---|---|---|
{chr(10).join(lines)}

**{times:.2f} times faster on two threads.**

"""
    return text, repeats, []


def indexers(folder, streams):
    lines = []
    for (workload, index), rows in groups(folder, "workload", "index").items():
        lines.append(
            f"| {workload} | {index} | {spread(rows, 'ns_per_query', scale=1e3)} "
            f"| {spread(rows, 'events_per_s', scale=1e6)} | {spread(rows, 'blocks_per_s', scale=1e6)} |"
        )
        repeats = len(rows)
    text = f"""# How fast is the prefix index beside dynamo-kv-router's?

Same queries and events for all, in one process, medians of {repeats} rounds and their range: 64 workers with 16,384 blocks
of 16 tokens. Requests go to the worker that holds most of their prompt; the events are what the caches then say. In
batches of 64: queries, then the events of these requests. All indexes find the same overlaps, equal to brute force's.
Naming blocks (hashing tokens; in the simulation, `Paths`) is left out on both sides.

"kvroute (runs)" is the index as the simulation drives it, by runs of blocks; "kvroute (blocks)" as live mode does, by
one hash per block. `ConcurrentRadixTreeCompressed` applies events on one thread of its own.

| workload | index | query (us) | million events/s | million blocks/s |
|---|---|---|---|---|
{chr(10).join(lines)}

```
{streams}
```

"""
    return text, repeats, []


KINDS = {"peers": peers, "scale": scale, "sweep": sweep_threads, "indexers": indexers}


def main():
    kind, folder, *said = sys.argv[1:]
    said = open(said[0]).read().strip() if said else ""
    text, repeats, more = KINDS[kind](folder, said)
    dirty = " and uncommitted changes" if shell("git status --porcelain -- src Cargo.toml") else ""
    processor = shell("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2")
    facts = [f"commit: {shell('git rev-parse --short HEAD')}{dirty}", *more, f"machine: {os.cpu_count()} cores, {processor}"]
    with open(f"{folder}/README.md", "w") as out:
        out.write(f"{text}```\nscripts/bench-{kind}.sh {repeats}\n```\n\n" + "".join(f"- {fact}\n" for fact in facts))
    print(f"recorded {folder}")


main()
