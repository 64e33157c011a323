"""The charts: bars of the median, whiskers from the least to the most. Runs in the benchmarks' environment.

    build/bench/venv/bin/python tests/bench/charts.py DIRECTORY

reads results.json there, and writes GROUP-rate.svg, GROUP-cpu.svg and GROUP-memory.svg for each group of
scenarios.
"""

import json
import sys
from pathlib import Path

import matplotlib

import report

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "cserve", "svg.fonttype": "none", "font.size": 8})

from matplotlib import pyplot  # noqa: E402 (the backend is chosen before)

KINDS = [
    # key, end of the file's name, title, whether the largest is at the top
    ("rate", "rate", "requests/s", True),
    ("cpu_us", "cpu", "CPU, µs for each request", False),
    ("peak_mb", "memory", "peak memory, MB", False),
]
COLOURS = {report.OURS: "#c0392b", "cserve module": "#e59866", report.YARDSTICK: "#7f8c8d"}
OTHERS = "#5d8aa8"
ACROSS = 2


def bars(axes, title, servers, key, largest_first):
    ranked = dict(sorted(report.by_rate(servers).items(), key=lambda item: report.median(item[1], key),
                         reverse=not largest_first))
    spread = [report.values(rows, key) for rows in ranked.values()]
    middles = [middle for _, middle, _ in spread]
    whiskers = [[middle - least for least, middle, _ in spread],
                [most - middle for _, middle, most in spread]]
    names = list(ranked)
    axes.barh(names, middles, xerr=whiskers, color=[COLOURS.get(name, OTHERS) for name in names],
              error_kw={"linewidth": 0.8, "ecolor": "#333333"})
    for place, (_, middle, most) in enumerate(spread):
        axes.annotate(f"{middle:,.0f}" if middle >= 100 else f"{middle:,.1f}", (most, place),
                      xytext=(5, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_title(title, fontsize=9)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def draw(results, group, kind, directory):
    key, ending, title, largest_first = kind
    names = [scenario["name"] for scenario in results["scenarios"] if scenario["group"] == group]
    names = [name for name in names if report.by_rate(results["results"][name])]
    if not names:
        return
    down = -(-len(names) // ACROSS)
    figure, grid = pyplot.subplots(down, ACROSS, figsize=(11, 2.9 * down), squeeze=False,
                                   layout="constrained")
    for axes in grid.flat[len(names):]:
        axes.set_visible(False)
    for axes, name in zip(grid.flat, names):
        bars(axes, name, results["results"][name], key, largest_first)
    figure.suptitle(title)
    figure.savefig(directory / f"{group}-{ending}.svg", metadata={"Date": None})
    pyplot.close(figure)


def main(directory):
    results = json.loads((directory / "results.json").read_text())
    for group in dict.fromkeys(scenario["group"] for scenario in results["scenarios"]):
        for kind in KINDS:
            draw(results, group, kind, directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
