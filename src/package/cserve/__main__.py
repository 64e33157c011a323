# SPDX-License-Identifier: MIT
"""The command: `cserve`, and `python -m cserve`."""

from __future__ import annotations

import os
import sys

from . import _core


def main() -> int:
    # Python has put this command's directory there, or the current one, which comes by itself.
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        del sys.path[0]
    return run([sys.executable, *sys.orig_argv[1:]])


def run(command: list[str]) -> int:
    open_streams()
    entrance = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_entrance.py")
    return _core.main(sys.argv, command, entrance)


def open_streams() -> None:
    """Give the application streams for those that were closed when this was started."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


if __name__ == "__main__":
    sys.exit(main())
