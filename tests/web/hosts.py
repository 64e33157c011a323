"""Several machines on this one: network namespaces, with the addresses that docs/deployment.md has.

                          client 203.0.113.9
                                  |
                              203.0.113.1
                          proxy   10.0.0.2 ---- 10.0.0.66 neighbour, who is no proxy
                                  |
                     10.0.0.11, 10.0.0.12 ...   one, two ..., which run cserve

Each machine has a loopback interface and ports of its own.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess

import pytest

import harness

CLIENT = "203.0.113.9"
FRONT = "203.0.113.1"
PROXY = "10.0.0.2"
NEIGHBOUR = "10.0.0.66"
NAMES = ("one", "two", "three", "four", "five")
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def set_namespace(path):
    with open(path) as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Host:
    def __init__(self, name, address):
        self.name = name
        self.address = address
        self.namespace = f"cserve-{os.getpid()}-{name}"
        ip("netns", "add", self.namespace)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        ip("-n", self.namespace, *words)

    @property
    def path(self):
        return f"/run/netns/{self.namespace}"

    @property
    def prefix(self):
        """What runs a command there."""
        return ("nsenter", f"--net={self.path}")

    @contextlib.contextmanager
    def inside(self):
        """This thread is there; the sockets that it makes stay there."""
        with open("/proc/thread-self/ns/net") as before:
            set_namespace(self.path)
            try:
                yield
            finally:
                assert libc.setns(before.fileno(), CLONE_NEWNET) == 0

    def connect(self, address, port, **options):
        """A Client that comes from there."""
        with self.inside():
            return harness.Client((address, port), **options)

    def accepted(self):
        """How many TCP connections were accepted there until now."""
        with self.inside(), open("/proc/thread-self/net/snmp") as file:
            names, values = [line.split() for line in file if line.startswith("Tcp:")]
        return int(values[names.index("PassiveOpens")])


class Network:
    """The machines, and the cables between them."""

    def __init__(self, servers):
        self.hosts = {}
        try:
            self._build(servers)
        except BaseException:
            self.remove()
            raise

    def _build(self, servers):
        self.proxy = self._add("proxy", PROXY)
        self.proxy.ip("link", "add", "bridge", "type", "bridge")
        self.proxy.ip("address", "add", f"{PROXY}/24", "dev", "bridge")
        self.proxy.ip("link", "set", "bridge", "up")
        self.client = self._add("client", CLIENT)
        self._plug(self.client)
        self.proxy.ip("address", "add", f"{FRONT}/24", "dev", "client")
        self.neighbour = self._add("neighbour", NEIGHBOUR)
        self.servers = [self._add(name, f"10.0.0.{11 + i}") for i, name in enumerate(NAMES[:servers])]
        for host in (self.neighbour, *self.servers):
            self._plug(host)
            self.proxy.ip("link", "set", host.name, "master", "bridge")

    def _add(self, name, address):
        self.hosts[name] = Host(name, address)
        return self.hosts[name]

    def _plug(self, host):
        peer = ("peer", "name", "eth0", "netns", host.namespace)
        self.proxy.ip("link", "add", host.name, "type", "veth", *peer)
        self.proxy.ip("link", "set", host.name, "up")
        host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
        host.ip("link", "set", "eth0", "up")

    def cut(self, host):
        """Nothing reaches it any more, and nothing comes back."""
        self.proxy.ip("link", "set", host.name, "down")

    def mend(self, host):
        self.proxy.ip("link", "set", host.name, "up")

    def remove(self):
        for host in self.hosts.values():
            subprocess.run(["ip", "netns", "delete", host.namespace])


def why_not():
    """Why there can be no network namespaces here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        pytest.fail("ip is needed: apt-get install iproute2")
    name = f"cserve-{os.getpid()}-probe"
    probe = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if probe.returncode == 0:
        subprocess.run(["ip", "netns", "delete", name])
    return f"no network namespaces: {probe.stderr.strip()}" if probe.returncode else None
