# SPDX-License-Identifier: MIT
"""The command in another interpreter than the one that has the package: that of the environment of --venv.

    ENVIRONMENT/bin/python .../cserve/_entrance.py cserve mysite:app

The first argument is what the command was called. Of the package's own environment only the package is used.
"""

import sys


def load(directory: str) -> None:
    """Import the package from this directory, which is on no path."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(
        "cserve", directory + "/__init__.py", submodule_search_locations=[directory]
    )
    assert spec and spec.loader
    package = module_from_spec(spec)
    sys.modules["cserve"] = package
    spec.loader.exec_module(package)


def main() -> int:
    del sys.argv[0]
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        del sys.path[0]
    load(__file__.rpartition("/")[0])
    from cserve.__main__ import run

    return run([sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
