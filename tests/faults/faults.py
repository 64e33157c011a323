"""The other side of faults.c: builds it, and says which call of which function goes wrong."""

import errno
import mmap
import os
import struct
import subprocess
from pathlib import Path

import harness

FUNCTIONS = ("none", "malloc", "accept4", "recv", "send", "sendfile", "epoll_ctl", "epoll_wait", "open",
             "write")
SHORT = "SHORT"  # in place of an error: the call moves one byte
FIELDS = struct.Struct("<8Q")


def build(directory, with_malloc):
    """The path of the library."""
    library = Path(directory) / "faults.so"
    source = Path(__file__).with_name("faults.c")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared"]
    if with_malloc:
        flags.append("-DFAULTS_MALLOC")
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", library, source, "-ldl"], check=True)
    return library


def sanitizer_runtime(binary):
    """The library that has to be preloaded before all others, or nothing."""
    lines = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split()[2] for line in lines if "libasan" in line]


class Control:
    """The file through which the library is told what to do."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.write_bytes(bytes(FIELDS.size))
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), FIELDS.size)

    def arm(self, pid, function, error, first, times=1):
        """From now on, `times` calls from number `first` on fail with `error`, or are SHORT."""
        self.disarm()
        number = 0 if error == SHORT else getattr(errno, error)
        FIELDS.pack_into(self._map, 0, 0, pid, first, times, number, 0, 0, 0)
        struct.pack_into("<Q", self._map, 0, FUNCTIONS.index(function))

    def disarm(self):
        """Let all calls be. Returns what counts() does."""
        struct.pack_into("<Q", self._map, 0, 0)
        return self.counts()

    def counts(self):
        """How many calls there were since it was armed, and how many of them failed."""
        return FIELDS.unpack_from(self._map)[5:7]


def environment(binary, library, control):
    """What a server's environment must have."""
    libraries = [*sanitizer_runtime(binary), str(library)]
    return {"LD_PRELOAD": ":".join(libraries), "FAULTS_CONTROL": control.path}


class Faulty(harness.Server):
    """A server whose log may say anything but that a sanitizer found something."""

    def check(self):
        assert not harness.SANITIZER.search(self.log()), self.log()
