r"""cserve beside other WSGI servers: `make bench` runs this.

    python3 tests/bench/bench.py --cserve build/release/cserve \
        --epoll-server build/release/bench/epoll_server

In each round, for each scenario, each server is started on one core, verified, warmed up and verified under
load from another core, measured, and stopped. So whatever else the machine does strikes all of them, and the
spread of the rounds shows it. What is measured, and how:

    requests/s      what wrk (or h2load) got answered, asking without pause on so many connections
    CPU             user and system time of the server's whole process tree, for each request
    p50 p99 p99.9   the latency that the clients saw under that load
    peak            the largest resident memory that each process had, added up (VmHWM)
    PSS             the memory of the tree at the end, what it shares with others counted in parts
    verified        bytes of content that were compared with what the application gave
    errors          of connections, answers with another status than 200, wrong content

Results go to OUTPUT: benchmarks.md, and benchmarks/ with results.json and charts.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import load
import processes
import report
import scenarios
import servers
from environment import Environment
from fetch import Wrong, verify

ROOT = servers.ROOT
WARM_SECONDS = 1
SETTLE_SECONDS = 10


def measure(kind, scenario, places, seconds):
    """One measurement: a row of figures, or {"failed": why}."""
    tool = load.TOOLS[scenario.tool](places.scratch, places.client_core)
    seconds = max(seconds, scenario.at_least)
    try:
        with servers.Server(kind, scenario, places) as server:
            compared = verify(server.port, scenario)
            with load.beside(scenario, server.port, seconds, places) as check:
                warm = tool.run(server.port, scenario, WARM_SECONDS, compare=True)
                server.await_answer(SETTLE_SECONDS)  # requests that wrk left behind are done then
                before = processes.cpu_seconds(server.pid)
                result = tool.run(server.port, scenario, seconds, first=5_000_000)
                cpu = processes.cpu_seconds(server.pid) - before
                check()
            return figures(scenario, result, cpu, add(warm.errors, result.errors), compared + warm.compared,
                           processes.peak_mb(server.pid), processes.pss_mb(server.pid))
    except (servers.Failed, Wrong, load.LoadFailed) as error:
        return {"failed": str(error)}


def add(*counts):
    """Counters, added up."""
    return {kind: sum(count.get(kind, 0) for count in counts) for kind in sorted({*counts[0], *counts[1]})}


def figures(scenario, result, cpu, errors, compared, peak_mb, pss_mb):
    if result.requests == 0:
        told = report.errors_of([{"errors": errors}])
        return {"failed": f"no request was answered within {result.seconds:.0f} s; errors: {told}"}
    rate = result.requests / result.seconds
    return {
        "rate": rate,
        "content_mb_s": rate * (scenario.sent + len(scenario.expected())) / 1e6,
        "cpu_us": cpu / result.requests * 1e6,
        "p50_ms": result.p50_ms, "p99_ms": result.p99_ms, "p999_ms": result.p999_ms,
        "peak_mb": peak_mb, "pss_mb": pss_mb,
        "requests": result.requests, "errors": errors, "verified_bytes": compared,
    }


def run_round(results, kinds, chosen, places, seconds):
    """Adds a round to {scenario: {server: [figures of each round]}}. Who failed once is not asked again."""
    for scenario in chosen:
        for kind in kinds:
            if kind.yardstick and not scenario.yardstick:
                continue
            rows = results.setdefault(scenario.name, {}).setdefault(kind.name, [])
            if not report.failure(rows):
                rows.append(measure(kind, scenario, places, seconds))
                told = report.in_short(rows[-1])
                print(f"{len(rows)}  {scenario.name:<42}{kind.name:<18}{told}", flush=True)


def first_line(*command):
    """Of what it prints."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    return result.stdout.strip().partition("\n")[0]


def machine(options):
    """What the figures depend on, for whoever reads them."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    release = platform.freedesktop_os_release()
    return {
        "processor": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{int(memory[1]) / 1024 / 1024:.0f} GB",
        "system": f"{release['PRETTY_NAME']}, Linux {platform.release()}",
        "cores": f"servers on core {options.server_core}, clients on core {options.client_core}",
        "Python": f"{platform.python_version()}, {sys.executable}",
        "cserve": f"{first_line(str(options.cserve), '--version')}, "
                  f"commit {first_line('git', 'describe', '--always', '--dirty')}",
        "load": f"{first_line('wrk', '-v').partition(' Copyright')[0]}; {first_line('h2load', '--version')}",
    }


def circumstances(options):
    """What the report tells of the run."""
    return {"date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
            "command": options.command, "seconds": options.seconds, "machine": machine(options)}


def describe(kinds, installed, places):
    """What the results tell of the servers."""
    places = dataclasses.replace(places, venv=Path("VENV"), cserve=Path("cserve"),
                                 epoll_server=Path("epoll_server"), scratch=Path("SCRATCH"))
    first = scenarios.SCENARIOS[0]
    return [{"name": kind.name, "choice": kind.choice, "ours": kind.ours, "yardstick": kind.yardstick,
             "command": shlex.join(servers.command_of(kind, first, places, 8888)).replace(f"{ROOT}/", ""),
             **dataclasses.asdict(installed[kind.name])}
            for kind in kinds]


def check_python(cserve):
    """The others run on this interpreter, so cserve must contain the same one."""
    version, this = first_line(str(cserve), "--version"), platform.python_version()
    if f"(Python {this}," not in version:
        raise SystemExit(f"{version} is not for this Python {this}: make PYTHON={sys.executable}")


def pick(rows, names, what):
    """The rows with these names, all without any."""
    unknown = sorted(set(names) - set(rows))
    if unknown:
        raise SystemExit(f"no such {what}: {', '.join(unknown)}; there are: {', '.join(rows)}")
    return [row for name, row in rows.items() if not names or name in names]


def parse():
    """The options, with `command`: what to tell make to do the same."""
    given = argparse.ArgumentParser(add_help=False)  # by bench.mk
    given.add_argument("--cserve", type=Path, required=True)
    given.add_argument("--epoll-server", type=Path, required=True)
    given.add_argument("--venv", type=Path, default=ROOT / "build/bench/venv")
    given.add_argument("--output", type=Path, help="default: docs, with --quick build/bench")
    given.add_argument("--quick", action="store_true", help="a few scenarios, once: to see that all works")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], parents=[given])
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--seconds", type=int, help="of a measurement; default: 2")
    processes.add_core_options(parser)
    parser.add_argument("--server", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--scenario", action="append", default=[], help="only this one; may be repeated")
    options = parser.parse_args()
    options.output = options.output or ROOT / ("build/bench" if options.quick else "docs")
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 2)
    flags = shlex.join(given.parse_known_args()[1])
    options.command = "make bench" + " QUICK=1" * options.quick + (f' BENCH_FLAGS="{flags}"' if flags else "")
    return options


def main():
    options = parse()
    processes.raise_on_sigterm()
    check_python(options.cserve)
    kinds = pick(servers.BY_NAME, options.server, "server")
    chosen = pick(scenarios.BY_NAME, options.scenario, "scenario")
    if options.quick:
        chosen = [scenario for scenario in chosen if scenario.quick]
    environment = Environment(options.venv)
    environment.prepare()
    installed = environment.install(kinds)
    for name, state in installed.items():
        if state.missing or state.slower:
            print(f"{name}: {state.missing or f'without {state.slower}'}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cserve-bench-") as scratch:
        os.chmod(scratch, 0o755)  # mod_wsgi's workers are another user's
        places = servers.Places(environment.path, options.cserve.resolve(), options.epoll_server.resolve(),
                                Path(scratch), options.server_core, options.client_core)
        os.sched_setaffinity(0, {options.client_core})
        scenarios.write_files(places.scratch / "files")
        results = {**circumstances(options), "servers": describe(kinds, installed, places),
                   "scenarios": [{"name": scenario.name, "group": scenario.group} for scenario in chosen],
                   "results": {}}
        here = [kind for kind in kinds if not installed[kind.name].missing]
        for number in range(options.rounds):
            run_round(results["results"], here, chosen, places, options.seconds)
            results["rounds"] = number + 1
            write(options.output, results, environment.python)
    return 0


def write(output, results, python):
    """results.json, and what is made of it. After each round, so that an interrupted run leaves something."""
    directory = output / "benchmarks"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    subprocess.run([python, Path(__file__).with_name("charts.py"), directory], check=True)
    (output / "benchmarks.md").write_text(report.markdown(results, sorted(directory.glob("*.svg"))))
    print(output / "benchmarks.md")


if __name__ == "__main__":
    sys.exit(main())
