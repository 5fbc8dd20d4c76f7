#!/usr/bin/env python3
"""Writes README.md's performance table from the latest recorded results; with --check only says whether it is so.

Every figure comes from the runs.csv (or live.csv) of a folder in results/, each of which names its command."""

import csv
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN = "<!-- made by scripts/readme-performance.py -->\n"
END = "<!-- end -->\n"


def latest(question):
    """The newest folder in results/ about a question, and its rows; None where there is none."""
    folders = sorted(ROOT.glob(f"results/????-??-??-{question}"))
    if not folders:
        return None, []
    table = next(folders[-1].glob("runs.csv"))
    with open(table, newline="") as file:
        return folders[-1].name, list(csv.DictReader(file))


def medians(rows, keys, values):
    """Median of each of `values` by `keys`, in order of appearance."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return {
        key: [statistics.median(float(row[value]) for row in group) for value in values]
        for key, group in groups.items()
    }


def link(folder):
    return f"[measured](results/{folder}/README.md)"


def peers():
    folder, rows = latest("peers")
    found = medians(rows, ("workers", "block_tokens", "program"), ("cpu_s", "peak_mb"))
    for (workers, block, program), (cpu, memory) in found.items():
        if program != "kvroute":
            continue
        theirs, their_memory = found[workers, block, "dynamo"]
        yield (
            f"Mooncake conversation trace (12,031 requests), `kv`, {workers} workers, {block}-token blocks",
            f"{cpu:.2f} s CPU, {memory:.0f} MB",
            f"Dynamo's replay: {theirs:.1f} s, {their_memory:.0f} MB ({theirs / cpu:.0f} times)",
            folder,
        )


def scale():
    folder, rows = latest("scale")
    for (workers, requests), (cpu, memory) in medians(rows, ("workers", "requests"), ("cpu_s", "peak_mb")).items():
        each = cpu / int(requests) * 1e6
        yield (
            f"{int(requests):,} multi-turn requests, `kv`, {int(workers):,} workers",
            f"{cpu:.2f} s CPU, {memory:.0f} MB",
            f"{each:.1f} µs a request",
            folder,
        )


def sweep():
    folder, rows = latest("sweep-threads")
    found = medians(rows, ("threads",), ("wall_s", "peak_mb"))
    if ("1",) in found and ("2",) in found:
        (one, _), (two, memory) = found["1",], found["2",]
        yield ("The shipped sweep (155 runs), two threads", f"{two:.2f} s, {memory:.0f} MB",
               f"one thread: {one:.2f} s ({one / two:.2f} times)", folder)


def indexers():
    folder, rows = latest("indexers")
    found = medians(rows, ("workload", "index"), ("ns_per_query", "blocks_per_s"))
    for workload in dict.fromkeys(workload for workload, _ in found):
        query, blocks = found[workload, "kvroute (runs)"]
        theirs = {index: value for (name, index), value in found.items() if name == workload and "kvroute" not in index}
        best = min(theirs.values())[0], max(value[1] for value in theirs.values())
        yield (
            f"Prefix index, {workload}, 64 workers, 16-token blocks",
            f"{query / 1000:.2f} µs a query, {blocks / 1e6:.1f} million blocks/s",
            f"best of dynamo-kv-router's three: {best[0] / 1000:.2f} µs, {best[1] / 1e6:.1f} million/s",
            folder,
        )


def live():
    folder, rows = latest("live-load-generators")
    found = medians(rows, ("tool", "load"), ("rps", "error_p99", "cpu_ms_per_request"))
    for load in ("C=100", "C=500"):
        rps, error, cpu = found["kvroute diverse", load]
        others = ((value[0], tool) for (tool, at), value in found.items()
                  if at == load and not tool.startswith(("kvroute", "refclient")))
        most, tool = max(others)
        their_error = found[tool, load][1]
        yield (
            f"Live load, {load.replace('C=', '')} in flight",
            f"{rps:,.0f} requests/s, TTFT p99 off by {error:.2f} ms, {cpu:.2f} ms CPU each",
            f"best other ({tool}): {most:,.0f}/s, off by {their_error:.1f} ms",
            folder,
        )


def table():
    lines = ["| what | kvroute | beside it | |", "|---|---|---|---|"]
    for part in (peers, scale, sweep, indexers, live):
        lines += [f"| {what} | {ours} | {beside} | {link(folder)} |" for what, ours, beside, folder in part()]
    return "\n".join(lines) + "\n"


def main():
    readme = ROOT / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    made = before + BEGIN + table() + END + after
    if "--check" in sys.argv[1:]:
        if made != text:
            sys.exit("README.md's performance table is not that of results/: run scripts/readme-performance.py")
    else:
        readme.write_text(made)


main()
