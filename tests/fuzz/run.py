"""Runs fuzz targets, two at a time, and prints what came of it. See fuzz.mk.

    python3 tests/fuzz/run.py --work BUILD/fuzz/fuzz --seconds 600 head body uri
    python3 tests/fuzz/run.py --work BUILD/fuzz/fuzz --merge head body uri

Inputs that a target gathers are kept in WORK/corpus and WORK/findings. --merge takes from the former into the
tree's corpus what adds coverage, and drops from the tree what does not, but for what was written by hand: the
files named seed-*.
"""

import argparse
import concurrent.futures
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAX_LEN = {"connection": 2048, "head": 1024, "forwarded": 1024}
JOBS = 2
HEADINGS = ("target", "executions", "per second", "edges", "corpus", "findings")


def numbers(pattern, text):
    return [int(number) for number in re.findall(pattern, text)]


class Target:
    def __init__(self, name, work):
        self.name = name
        self.binary = work / f"fuzz_{name}"
        self.seeds = HERE / "corpus" / name
        self.corpus = work / "corpus" / name
        self.findings = work / "findings" / name
        self.log = work / f"{name}.log"
        for directory in (self.corpus, self.findings, self.seeds):
            directory.mkdir(parents=True, exist_ok=True)

    def command(self, *arguments):
        return [str(self.binary.resolve()), f"-max_len={MAX_LEN.get(self.name, 512)}", *map(str, arguments)]

    def run(self, seconds):
        before = set(self.findings.iterdir())
        with self.log.open("wb") as log:
            status = subprocess.run(self.command(
                f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1",
                f"-dict={HERE / 'http.dict'}", f"-artifact_prefix={self.findings.resolve()}/",
                self.corpus.resolve(), self.seeds), stdout=log, stderr=log).returncode
        text = self.log.read_text("utf-8", "replace")
        executions = numbers(r"stat::number_of_executed_units: +(\d+)", text) or [0]
        rate = numbers(r"stat::average_exec_per_sec: +(\d+)", text) or [0]
        found = len(set(self.findings.iterdir()) - before)
        return (self.name, executions[-1], rate[-1], max(numbers(r"cov: (\d+)", text), default=0),
                len(list(self.corpus.iterdir())), found or int(status != 0))

    def merge(self):
        with tempfile.TemporaryDirectory() as merged:
            command = self.command("-set_cover_merge=1", merged, self.seeds, self.corpus.resolve())
            subprocess.run(command, check=True, capture_output=True)
            for file in self.seeds.iterdir():
                if not file.name.startswith("seed-"):
                    file.unlink()
            by_hand = {file.read_bytes() for file in self.seeds.iterdir()}
            for file in Path(merged).iterdir():
                if file.read_bytes() not in by_hand:
                    shutil.copy(file, self.seeds)
        files = list(self.seeds.iterdir())
        return self.name, len(files), sum(file.stat().st_size for file in files)


def print_table(rows, headings):
    widths = [max(len(f"{row[i]}") for row in (headings, *rows)) for i in range(len(headings))]
    for row in (headings, *rows):
        print("  ".join(f"{cell:{'<' if i == 0 else '>'}{widths[i]}}" for i, cell in enumerate(row)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    targets = [Target(name, options.work) for name in options.targets]
    if options.merge:
        print_table([target.merge() for target in targets], ("target", "files", "bytes"))
        return 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        rows = list(pool.map(lambda target: target.run(options.seconds), targets))
    print_table(rows, HEADINGS)
    for row, target in zip(rows, targets):
        if row[-1]:
            print(f"\n{target.name}: see {target.log} and {target.findings}")
    return int(any(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
