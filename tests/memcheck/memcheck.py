"""A short run of the server under valgrind's memcheck: `make memcheck`.

    python memcheck.py CSERVE

The script of tests/faults is run, with one thread and with several, then the server stops. Any error of
memcheck in the master or a worker, and any block that was lost for good, makes it fail. The interpreter takes
its objects from malloc meanwhile, so that each is watched; python.supp names what is CPython's own.
"""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]

import harness  # noqa: E402
import script  # noqa: E402

VALGRIND = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=40",
            "--errors-for-leak-kinds=definite", f"--suppressions={HERE / 'python.supp'}"]
OPTIONS = ["--graceful-timeout", "60", "--header-timeout", "60", "--body-timeout", "60", "--keep-alive", "60",
           "--write-timeout", "60", "--body-buffer", "4096"]


def wrap(binary, directory):
    """An executable that runs the binary under valgrind; each process reports to a file of its own."""
    wrapper = directory / "cserve"
    command = [*VALGRIND, f"--log-file={directory}/report.%p", str(binary)]
    wrapper.write_text(f"#!/bin/sh\nexec {shlex.join(command)} \"$@\"\n")
    wrapper.chmod(0o755)
    return wrapper


def run(binary, options):
    """What memcheck has to say of a server with these options."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "content").write_bytes(script.CONTENT)
        server = harness.Server(wrap(binary, directory), script.APP, [*OPTIONS, *options],
                                {"PYTHONMALLOC": "malloc"}, directory)
        for _ in range(3):
            count = script.run_script(server)
            assert count == len(script.SCRIPT), f"{count} answers\n{server.log()}"
        server.stop(120)
        reports = sorted(directory.glob("report.*"))
        assert len(reports) >= 2, "no report of the worker"
        return "".join(report.read_text() for report in reports)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("binary", type=Path)
    binary = parser.parse_args().binary.resolve()
    report = "".join(run(binary, ["--threads", threads]) for threads in ("1", "4"))
    print(report or "memcheck: nothing to report")
    return int(bool(report))


if __name__ == "__main__":
    sys.exit(main())
