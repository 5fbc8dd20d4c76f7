#!/usr/bin/env python3
"""How fast and how exact is `kvroute live` beside other load generators? One session, interleaved.

usage: scripts/bench_live.py RESULTS_FOLDER [--peers DIR] [--rounds N] [--tools a,b,...]

Builds the stand-in server of ../shared/peers (known timing: 20 ms to the first token, 10 tokens at
5 ms; it reports what it really saw) and kvroute, then runs every tool at each load in turn, round after
round, so that all meet the same machine. The error of a tool is its reported percentile minus that of
the server in the same run. Tools that are not installed are named and left out. Standard library only.
"""
import argparse, csv, json, os, pathlib, platform, re, resource, shutil, statistics, subprocess, sys, tempfile, time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent.parent
SHARED = HERE.parent / "shared"
PORT = 18431
URL = f"http://127.0.0.1:{PORT}"
COLUMNS = ["tool", "load", "round", "requests", "rps", "in_flight", "ttft_p50", "ttft_p99", "error_p50", "error_p99",
           "itl_p50", "e2e_p50", "cpu_s", "cpu_ms_per_request", "rss_mb", "wall_s", "load_average"]


def run(command, cwd=None, env=None):
    """Runs to the end; wall s, CPU s, peak MB, stdout."""
    start, load = time.monotonic(), os.getloadavg()[0]
    out = tempfile.TemporaryFile()
    child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env={**os.environ, **(env or {})})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    out.seek(0)
    text = out.read().decode(errors="replace")
    if child.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}: {text[-800:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.monotonic() - start, "cpu": cpu, "text": text, "load": load}


def peak_mb(command):
    """`command` under /usr/bin/time, so that its peak memory is its own."""
    return ["/usr/bin/time", "-f", "PEAK_KB %M"] + command


def rss(text):
    found = re.findall(r"PEAK_KB (\d+)", text)
    return int(found[-1]) / 1024 if found else None


def stats():
    with urllib.request.urlopen(URL + "/stats") as page:
        return json.load(page)


class Tool:
    """A load generator: whether it is here, and how it is run; `run` returns its own report."""
    def __init__(self, name, ready, run):
        self.name, self.ready, self.run = name, ready, run


def kvroute(workload):
    def go(load, out):
        shape = (["--concurrency", str(load["concurrency"])] if "concurrency" in load
                 else ["--request-rate", str(load["rate"]), "--arrival", "poisson"])
        lengths = ["--isl", "128", "--osl", "10"] if workload == "diverse" else ["--osl", "10", "--set", "workload.multi_turn.think_time={law=\"constant\",value=0.0}"]
        done = run(peak_mb([str(HERE / "target/release/kvroute"), "live", workload, "--url", URL, "--model", "mock",
                   *shape, "--num-requests", str(load["requests"]), *lengths, "--no-server-metrics", "--out", out, "--quiet"]))
        report = json.load(open(f"{out}/summary.json"))["runs"][0]
        assert report["requests"]["completed"] == load["requests"], report["requests"]
        pick = lambda name, q: report[name][q]
        return done, {"requests": report["requests"]["completed"], "rps": report["request_throughput"]["avg"],
                      "p50": pick("time_to_first_token", "p50"), "p99": pick("time_to_first_token", "p99"),
                      "itl": pick("inter_token_latency", "p50"), "e2e": pick("request_latency", "p50"),
                      "send_lag_p99": pick("client", "send_lag")["p99"]}
    return go


def refclient(target):
    def go(load, out):
        seconds = max(4, load["requests"] / 14 / load["concurrency"])
        done = run(peak_mb([target, str(PORT), str(load["concurrency"]), str(seconds)]))
        report = json.loads(next(line for line in done["text"].splitlines() if line.startswith("{")))
        return done, {"requests": report["n"], "rps": report["rps"], "p50": report["ttft_p50"], "p99": report["ttft_p99"],
                      "itl": None, "e2e": report["e2e_p50"]}
    return go


def aiperf(peers, tokenizer):
    def go(load, out):
        shape = (["--concurrency", str(load["concurrency"])] if "concurrency" in load
                 else ["--request-rate", str(load["rate"]), "--arrival-pattern", "poisson"])
        done = run(peak_mb([f"{peers}/aiperf/bin/aiperf", "profile", "--model", "mock", "--url", f"127.0.0.1:{PORT}", "--endpoint-type", "chat",
                   "--streaming", "--tokenizer", tokenizer, *shape, "--benchmark-duration", "10", "--isl", "128", "--osl", "10",
                   "--num-prompts", "100", "--use-server-token-count", "--ui", "none", "--no-gpu-telemetry", "--output-artifact-dir", out]))
        report = json.load(open(next(pathlib.Path(out).rglob("profile_export_aiperf.json"))))
        pick = lambda name, q: report[name][q]
        return done, {"requests": int(pick("request_count", "avg")), "rps": pick("request_throughput", "avg"),
                      "p50": pick("time_to_first_token", "p50"), "p99": pick("time_to_first_token", "p99"),
                      "itl": pick("inter_token_latency", "p50"), "e2e": pick("request_latency", "p50")}
    return go


def guidellm(peers, tokenizer):
    def go(load, out):
        profile = f"kind=concurrent,streams={load['concurrency']}" if "concurrency" in load else f"kind=poisson,rate={load['rate']}"
        os.makedirs(out, exist_ok=True)
        done = run(peak_mb([f"{peers}/guidellm/bin/guidellm", "run", "--backend", f"kind=openai_http,target={URL},model=mock", "--profile", profile,
                   "--constraint", "kind=max_duration,seconds=10", "--data", "kind=synthetic_text,prompt_tokens=128,output_tokens=10",
                   "--tokenizer", f"kind=hf_auto,model={tokenizer}", "--output", f"kind=json,path={out}/benchmarks.json", "--disable-console-interactive"]))
        metrics = json.load(open(f"{out}/benchmarks.json"))["benchmarks"][0]["metrics"]
        of = lambda name: metrics[name]["successful"]
        return done, {"requests": of("request_latency")["count"], "rps": of("requests_per_second")["mean"],
                      "p50": of("time_to_first_token_ms")["percentiles"]["p50"], "p99": of("time_to_first_token_ms")["percentiles"]["p99"],
                      "itl": of("inter_token_latency_ms")["percentiles"]["p50"], "e2e": 1e3 * of("request_latency")["percentiles"]["p50"]}
    return go


def sglang_bench(python, extension, tokenizer):
    def go(load, out):
        os.makedirs(out, exist_ok=True)
        shape = (["--max-concurrency", str(load["concurrency"])] if "concurrency" in load else ["--request-rate", str(load["rate"])])
        argv = ["sglang-bench", "--backend", "vllm-chat", "--base-url", URL, "--model", "mock", "--tokenizer", tokenizer, "--dataset-name",
                "random-ids", "--random-input-len", "128", "--random-output-len", "10", "--random-range-ratio", "1", "--num-prompts",
                str(load["requests"]), *shape, "--disable-tqdm", "--output-file", f"{out}/result.jsonl"]
        code = ("import importlib.util, sys; spec = importlib.util.spec_from_file_location('_bench', sys.argv[1]); "
                "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); module.run_argv(sys.argv[2:])")
        done = run(peak_mb([python, "-c", code, extension, *argv]))
        report = json.loads(open(f"{out}/result.jsonl").read().splitlines()[-1])
        return done, {"requests": report["completed"], "rps": report["request_throughput"], "p50": report["median_ttft_ms"],
                      "p99": report["p99_ttft_ms"], "itl": report["median_itl_ms"], "e2e": report.get("median_e2e_latency_ms")}
    return go


def tokenizer_folder(folder):
    os.makedirs(folder, exist_ok=True)
    shutil.copy(HERE / "src/live/tokenizer/default.json", f"{folder}/tokenizer.json")
    json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 131072}, open(f"{folder}/tokenizer_config.json", "w"))
    return folder


def sglang_extension(peers):
    """The Rust client inside SGLang's wheel, taken out of it: the package itself needs torch."""
    folder = pathlib.Path(peers) / "sglang-bench"
    found = list(folder.rglob("_bench*.so"))
    if not found and os.path.exists(f"{peers}/guidellm/bin/pip"):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([f"{peers}/guidellm/bin/pip", "download", "-q", "--no-deps", "-d", folder, "sglang==0.5.23"], check=False)
        for wheel in folder.glob("*.whl"):
            subprocess.run(["python3", "-m", "zipfile", "-e", str(wheel), str(folder / "wheel")], check=False)
            wheel.unlink()
        found = list(folder.rglob("_bench*.so"))
    return str(found[0]) if found else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--peers", default=os.environ.get("PEERS_DIR", os.path.expanduser("~/.cache/kvroute-peers")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", default="")
    args = parser.parse_args()
    target = os.environ.get("STANDIN_TARGET", str(HERE / "target/standin"))
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=HERE, check=True)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=SHARED / "peers/standin-server", env={**os.environ, "CARGO_TARGET_DIR": target}, check=True)
    work = tempfile.mkdtemp()
    tokenizer = tokenizer_folder(f"{work}/tokenizer")
    extension = sglang_extension(args.peers)
    have = lambda name: os.path.exists(f"{args.peers}/{name}/bin/python")
    tools = [Tool("kvroute diverse", True, kvroute("diverse")), Tool("kvroute multi-turn", True, kvroute("multi-turn")),
             Tool("refclient (floor)", True, refclient(f"{target}/release/refclient")),
             Tool("sglang-bench", bool(extension), sglang_bench(f"{args.peers}/guidellm/bin/python", extension, tokenizer)),
             Tool("AIPerf", have("aiperf"), aiperf(args.peers, tokenizer)),
             Tool("GuideLLM", have("guidellm"), guidellm(args.peers, tokenizer))]
    wanted = [name for name in args.tools.split(",") if name]
    tools = [tool for tool in tools if not wanted or any(name in tool.name for name in wanted)]
    for tool in tools:
        if not tool.ready:
            print(f"{tool.name}: not installed, left out", file=sys.stderr)
    loads = [{"name": "C=100", "concurrency": 100, "requests": 14000}, {"name": "C=500", "concurrency": 500, "requests": 60000},
             {"name": "2,000/s Poisson", "rate": 2000, "requests": 20000}]
    priority = ["chrt", "-f", "10"] if subprocess.run(["chrt", "-f", "10", "true"], capture_output=True).returncode == 0 else []
    server = subprocess.Popen(priority + [f"{target}/release/standin-server", str(PORT), "20", "5", "10"])
    rows = []
    try:
        time.sleep(0.5)
        for round_ in range(args.rounds):
            for load in loads:
                for tool in tools:
                    skip = "rate" in load and tool.name in ("refclient (floor)", "kvroute multi-turn")
                    if not tool.ready or skip:
                        continue
                    stats()
                    out = f"{work}/{len(rows)}"
                    try:
                        done, report = tool.run(load, out)
                    except Exception as why:
                        print(f"{tool.name} at {load['name']}: {why}", file=sys.stderr)
                        continue
                    seen = stats()
                    error = lambda q: report[q] - seen["ttft_ms"][q]
                    row = [tool.name, load["name"], round_ + 1, report["requests"], report["rps"], seen["max_conc"], report["p50"], report["p99"],
                           error("p50"), error("p99"), report["itl"], report["e2e"], done["cpu"], 1e3 * done["cpu"] / max(1, report["requests"]),
                           rss(done["text"]), done["wall"], done["load"]]
                    rows.append(row)
                    print(" ".join(f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}" for name, value in zip(COLUMNS, row)), flush=True)
                    if "send_lag_p99" in report:
                        print(f"  send lag p99 {report['send_lag_p99']:.3f} ms", flush=True)
                        row.append(report["send_lag_p99"])
                    shutil.rmtree(out, ignore_errors=True)
    finally:
        server.terminate()
    write(pathlib.Path(args.folder), rows, args)


def write(folder, rows, args):
    folder.mkdir(parents=True, exist_ok=True)
    columns = COLUMNS + ["send_lag_p99"]
    with open(folder / "runs.csv", "w", newline="") as out:
        sheet = csv.writer(out, lineterminator="\n")
        sheet.writerow(columns)
        for row in rows:
            sheet.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in row])
    lines = ["| load | tool | requests/s | most in flight | TTFT error p50 / p99 (ms) | ITL p50 (ms) | E2E p50 (ms) | CPU (ms/request) | memory (MB) | send lag p99 (ms) |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    seen = []
    for row in rows:
        if (row[1], row[0]) not in seen:
            seen.append((row[1], row[0]))
    for load, tool in sorted(seen, key=lambda one: [row[1] for row in rows].index(one[0])):
        mine = [row for row in rows if (row[1], row[0]) == (load, tool)]
        def show(column, digits):
            at = columns.index(column)
            values = sorted(row[at] for row in mine if len(row) > at and row[at] is not None)
            if not values:
                return "–"
            middle = f"{statistics.median(values):,.{digits}f}"
            spread = f" ({values[0]:,.{digits}f} to {values[-1]:,.{digits}f})" if len(values) > 1 else ""
            return middle + spread
        lines.append("| " + " | ".join([load, tool, show("rps", 0), show("in_flight", 0), show("error_p50", 2) + " / " + show("error_p99", 2),
                     show("itl_p50", 2), show("e2e_p50", 1), show("cpu_ms_per_request", 3), show("rss_mb", 0), show("send_lag_p99", 2)]) + " |")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    (folder / "README.md").write_text(f"""# How fast and how exact is `kvroute live` beside other load generators?

Median of {args.rounds} rounds (least to greatest), all tools in turn, against the stand-in server on the same two cores:
20 ms to the first token, 10 tokens at 5 ms, 128-token prompts. The true E2E is 66 ms; the server's own TTFT is
20.9 to 21.3 ms. Errors are the tool's reported percentile minus the server's of the same run. CPU is the tool's whole
process, start-up included; peers run for 10 s or the same number of requests.

""" + "\n".join(lines) + f"""

```
scripts/bench_live.py {args.folder} --rounds {args.rounds}
```

kvroute's command: `kvroute live diverse --url {URL} --model mock --concurrency C --num-requests N --isl 128 --osl 10
--no-server-metrics --out DIR --quiet` (plots included in its CPU time); `multi-turn` with its own prompts (mean 4,800 tokens,
histories that grow), `--osl 10` and no think time; open loop with `--request-rate 2000 --arrival poisson`.
Other tools' command lines: `../shared/peers/loadgen.md`. Every run: runs.csv.

- commit: {commit}
- machine: {os.cpu_count()} cores, {model}; load average before each run in runs.csv
""")


main()
