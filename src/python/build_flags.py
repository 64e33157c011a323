# SPDX-License-Identifier: MIT
"""How to compile and link against the interpreter that runs this script, as make variables.

    python3 src/python/build_flags.py build/python.mk

writes the file, or leaves it alone if it says the same already: what depends on it is then not built anew.
The static archive is preferred where the interpreter ships one, since calls inside it need no procedure
linkage table; `make bench-loop` tells what that is worth. CSERVE_PYTHON_LINK=shared chooses the shared
library.
"""

import os
import sys
import sysconfig

OLDEST = (3, 10)
TAG = "{}.{}{}".format(*sys.version_info[:2], sys.abiflags)


def executable():
    """The interpreter itself, also when a virtual environment's runs this; named with its version."""
    for directory in (os.path.join(sys.base_prefix, "bin"), sysconfig.get_config_var("BINDIR") or ""):
        path = os.path.join(directory, "python" + TAG)
        if os.access(path, os.X_OK):
            return path
    return getattr(sys, "_base_executable", sys.executable)


def home():
    """Where its standard library is, as PYTHONHOME would say it."""
    same = sys.base_prefix == sys.base_exec_prefix
    return sys.base_prefix if same else sys.base_prefix + ":" + sys.base_exec_prefix


def missing(what, package):
    sys.exit(
        "cserve: {} has no {}. For Debian's own Python: apt-get install {}. For another, install what it"
        " calls its development files, or choose one with make PYTHON=...".format(executable(), what, package)
    )


def include():
    directory = sysconfig.get_path("include")
    if not os.path.exists(os.path.join(directory, "Python.h")):
        missing("Python.h", "python3-dev")
    directories = dict.fromkeys([directory, sysconfig.get_path("platinclude")])
    return " ".join("-isystem " + each for each in directories)


def link_static(archive):
    # The archive may hold code for a fixed address only; and modules look for the API in the executable.
    return ["-no-pie", "-Wl,-export-dynamic", "-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"]


def link_shared():
    directory = sysconfig.get_config_var("LIBDIR")
    return ["-L" + directory, "-Wl,-rpath," + directory, "-lpython" + sysconfig.get_config_var("LDVERSION")]


def link():
    """(linkage, flags, the library that they link)"""
    var = sysconfig.get_config_var
    archive = os.path.join(var("LIBPL") or "", var("LIBRARY") or "-")
    shared = os.path.join(var("LIBDIR") or "", var("LDLIBRARY") or "-")
    libraries = " ".join([var("LIBS") or "", var("SYSLIBS") or ""]).split()
    if os.path.isfile(archive) and os.environ.get("CSERVE_PYTHON_LINK") != "shared":
        return "static", link_static(archive) + libraries + (var("MODLIBS") or "").split(), archive
    if var("Py_ENABLE_SHARED") and os.path.exists(shared):
        return "shared", link_shared() + libraries, shared
    return missing("libpython{0}.a and no libpython{0}.so".format(TAG), "libpython3-dev")


def variables():
    if sys.version_info < OLDEST:
        sys.exit(
            "cserve: {} is Python {}; cserve needs {}.{} or newer: make PYTHON=...".format(
                sys.executable, TAG, *OLDEST
            )
        )
    linkage, flags, library = link()
    yield "PYTHON_EXECUTABLE", executable()
    yield "PYTHON_HOME", home()
    yield "PYTHON_INCLUDE", include()
    yield "PYTHON_LINK", " ".join(flags)
    yield "PYTHON_LINKAGE", linkage
    yield "PYTHON_LIBRARY", library
    yield "PYTHON_VERSION", "{}.{}.{}".format(*sys.version_info)


def main(path):
    text = "".join("{} := {}\n".format(name, value) for name, value in variables())
    if os.path.exists(path):
        with open(path) as file:
            if file.read() == text:
                return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1])
