"""Makes the page of scripts/profile.sh from perf's reports: profile-report.py FOLDER SAMPLES-PER-SECOND."""

import collections
import pathlib
import re
import subprocess
import sys

folder, rate = pathlib.Path(sys.argv[1]), float(sys.argv[2])
LINE = re.compile(r"\s*[\d.]+%\s+(\d+)\s+kvroute\s+(\S+)\s+\[(.)\]\s+(.*)")


def name(symbol):
    """A function as one would say it: without the generics, paths and traits around it."""
    symbol = re.sub(r"<impl [^>]*>::", "", symbol)
    symbol = re.sub(r"^<(.*) as .*>::", r"\1::", symbol)
    symbol = re.sub(r"<[^<>]*>", "", symbol)
    return "::".join(symbol.replace("kvroute::", "").split("::")[-3:]).strip()


def load(path):
    """Nanoseconds per request by function."""
    requests = int(path.stem.split("-")[1])
    found = collections.Counter()
    for line in path.read_text().splitlines():
        if match := LINE.match(line):
            samples, where, kind, symbol = match.groups()
            who = name(symbol) if where == "kvroute" else ("kernel" if kind == "k" else "libc (mostly malloc)")
            found[who] += int(samples) * 1e9 / rate / requests
    return found


small, large = (load(next(folder.glob(f"{workers}-*.txt"))) for workers in (10, 1000))
rows = [
    f"| `{who}` | {small[who]:,.0f} | {large[who]:,.0f} |"
    for who, _ in large.most_common(26)
]
# What a decision does for each worker.
scoring = [who for who in large if any(part in who for part in ("Router>::route", "kv::Kv::route", "add_to", "::overlaps", "pick::least"))]
scored = [sum(of[who] for who in scoring) for of in (small, large)]
left = [of.total() - took for of, took in zip((small, large), scored)]
commit = subprocess.run("git rev-parse --short HEAD", shell=True, capture_output=True, text=True).stdout.strip()
print(f"""# Where does the time go?

The workload of `scripts/bench-scale.sh` on 10 workers (10,000 requests, 40 times) and on 1,000 (1,000,000), one thread:
samples of `perf`, {rate:.0f} a second, as nanoseconds per request and function (what is inlined counts where it is).

| function | 10 workers | 1,000 workers |
|---|---|---|
{chr(10).join(rows)}
| all | {small.total():,.0f} | {large.total():,.0f} |

A request does the same on both but for the scoring ({", ".join(f"`{who}`" for who in scoring)}): {scored[0]:,.0f} and
{scored[1]:,.0f} ns. The large cluster without what scoring takes more there costs {(left[1] + scored[0]) / small.total():.2f} times as much as the
small one. The difference is memory: the state of 1,000 workers and their requests is some hundred MB, so what an event
touches comes from far away. `sim::run` holds the look-ahead (`src/ahead.rs`), which waits for it in place of the others.

```
scripts/profile.sh
```

- commit: {commit}""")
