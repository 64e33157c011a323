"""Units of systemd, and a small stand-in for it, which starts, reloads and stops a service."""

import contextlib
import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import sys

import harness

# Runs a command with descriptors (its first argument, with commas) as a service manager passes sockets.
ACTIVATE = """
import os, sys
for i, fd in enumerate(map(int, sys.argv[1].split(","))):
    os.dup2(fd, 3 + i)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(i + 1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def values(unit, key):
    """All values of a key in the text of a unit."""
    return re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)


def value(unit, key):
    (only,) = values(unit, key)
    return only


class Manager:
    """A service and its socket, by the text of their units, in a directory for what the manager needs.

    What is done: the socket is opened and passed, the command runs as User= with NoNewPrivileges= and
    CapabilityBoundingSet=, and Type=notify, WatchdogSec=, ExecReload= and TimeoutStopSec= hold.
    """

    def __init__(self, service, socket_unit, directory, env):
        self._service = service
        self._user = value(service, "User")
        self._env = env
        self._directory = directory
        self._messages = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._messages.bind(f"{directory}/notify")
        os.chmod(f"{directory}/notify", 0o666)
        self._messages.settimeout(harness.START_DEADLINE)
        self.path = value(socket_unit, "ListenStream")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        os.chmod(self.path, int(value(socket_unit, "SocketMode"), 8))
        self._socket.listen(4096)
        self._process = None
        self.heard = []  # what the service has said of itself, between what was waited for

    def _confined(self):
        entry = pwd.getpwnam(self._user)
        assert value(self._service, "NoNewPrivileges") == "yes"
        assert value(self._service, "CapabilityBoundingSet") == ""
        ids = (f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
        return ["setpriv", *ids, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]

    def start(self):
        env = {
            **self._env,
            "NOTIFY_SOCKET": f"{self._directory}/notify",
            "WATCHDOG_USEC": str(int(value(self._service, "WatchdogSec")) * 1_000_000),
        }
        number = self._socket.fileno()
        command = [sys.executable, "-c", ACTIVATE, str(number), "/usr/bin/env", *self._confined()]
        # setpriv executes its command, so the process that LISTEN_PID names stays the same.
        command += ["--", *shlex.split(value(self._service, "ExecStart"))]
        self._process = subprocess.Popen(
            command,
            env=env,
            pass_fds=[number],
            umask=int(value(self._service, "UMask"), 8),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.log = harness.Output(self._process.stderr)
        self.wait("READY=1")

    @property
    def pid(self):
        return self._process.pid

    def wait(self, text):
        """Until the service has said this."""
        while text not in (message := self._messages.recv(4096).decode()):
            self.heard.append(message)

    def reload(self):
        env = {"MAINPID": str(self.pid)}
        subprocess.run(["sh", "-c", value(self._service, "ExecReload")], env=env, check=True)
        self.wait("RELOADING=1")
        self.wait("READY=1")

    def stop(self):
        assert value(self._service, "KillMode") == "mixed"  # SIGTERM is for the main process alone
        self._process.send_signal(signal.SIGTERM)
        self.wait("STOPPING=1")
        assert self._process.wait(int(value(self._service, "TimeoutStopSec"))) == 0, self.log.text()

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._socket.close()
        self._messages.close()
