# SPDX-License-Identifier: MIT
"""The command: `cserve`, and `python -m cserve`."""

from __future__ import annotations

import _signal  # signal itself would take longer to import
import os
import sys

from . import _core


def main() -> int:
    # What Python has put before sys.path is this command's directory, or the current one, which comes by itself.
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        del sys.path[0]
    return run([sys.executable, *sys.orig_argv[1:]])


def run(command: list[str]) -> int:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # a Ctrl-C before there is a server just ends this
    open_streams()
    entrance = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_entrance.py")
    return _core.main(sys.argv, command, entrance)


def open_streams() -> None:
    """Give the application the streams that whoever started this has closed, as the server does with descriptors."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


if __name__ == "__main__":
    sys.exit(main())
