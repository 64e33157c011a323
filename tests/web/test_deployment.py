"""docs/deployment.md is true: its units, its container and its manifest are checked and used."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import yaml

import deployment
import harness
import units
from deployment import block, option, seconds
from fronts import HAPROXY, NGINX, SERVICE
from proxies import APP

UNIT = "/etc/systemd/system/mysite.service"
SOCKET = "/etc/systemd/system/mysite.socket"
IMAGE = "Dockerfile"
CLUSTER = "mysite.yaml"
KEPT_IDLE = 5  # seconds: HAProxy's pool-purge-delay, which the page leaves alone
needs_root = pytest.mark.usefixtures("root")


# What belongs together.


def default(cserve, name):
    """What an option is without being set, in seconds."""
    line = next(line for line in printed(cserve, {}) if line.split()[0] == name)
    return float(line.split()[1])


def printed(cserve, env):
    """The lines of --print-config."""
    command = [cserve, "--config", "/dev/null", "--print-config", "mysite:app"]
    env = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0", **env}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.splitlines()


def test_proxies_leave_idle_connections_before_cserve_does(cserve):
    for name in (NGINX, f"{NGINX}, behind HAProxy"):
        assert seconds(option(name, "keepalive_timeout")) < seconds(option(SERVICE, "keep-alive"))
    for name in (HAPROXY, f"{HAPROXY}, in mode tcp"):
        assert "pool-purge-delay" not in deployment.blocks()[name]
    assert KEPT_IDLE < seconds(option(f"{SERVICE}, behind HAProxy", "keep-alive"))
    assert KEPT_IDLE < default(cserve, "keep-alive")


def test_proxies_wait_longer_than_cserve_lets_a_request_take(cserve):
    for name, key in [
        (NGINX, "proxy_read_timeout"),
        (f"{NGINX}, behind HAProxy", "proxy_read_timeout"),
        (HAPROXY, "timeout server"),
        (f"{HAPROXY}, in mode tcp", "timeout server"),
    ]:
        assert seconds(option(name, key)) > default(cserve, "timeout"), (name, key)


def test_service_managers_wait_longer_than_cserve_takes_to_stop(cserve):
    graceful = default(cserve, "graceful-timeout")
    drain = seconds(option(f"{SERVICE}, with readiness", "drain-delay"))
    assert seconds(option(UNIT, "TimeoutStopSec")) > drain + graceful
    (run,) = [command for command in deployment.commands() if command.startswith("docker run ")]
    assert float(re.search(r"--stop-timeout (\d+)", run)[1]) > graceful
    env = environment()
    assert float(env["CSERVE_GRACEFUL_TIMEOUT"]) == graceful
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > float(env["CSERVE_DRAIN_DELAY"]) + graceful


def test_health_checks_notice_a_stop_before_the_door_closes():
    drain = seconds(option(f"{SERVICE}, with readiness", "drain-delay"))
    check = option(f"{HAPROXY}, with readiness", "default-server")
    inter, fall = re.search(r"inter (\w+) fall (\d+)", check).groups()
    assert drain > 2 * seconds(inter) * int(fall)
    probe = container()["readinessProbe"]
    assert float(environment()["CSERVE_DRAIN_DELAY"]) > 2 * probe["periodSeconds"] * probe["failureThreshold"]


# systemd.


@pytest.fixture
def place():
    """A directory that everybody may enter, with a short name: sockets are in it."""
    path = Path(tempfile.mkdtemp(prefix="cserve-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def settle(cserve, place):
    """The page's files for one machine, below `place`; (service, socket)."""
    shutil.copy(APP, place / "mysite.py")
    (place / "log").mkdir()
    (place / "log").chmod(0o777)
    paths = [
        ("venv = /srv/mysite/.venv\n", ""),
        ("/srv/mysite", place),
        ("/var/log/mysite", place / "log"),
        ("/run/mysite.sock", place / "mysite.sock"),
    ]
    (place / "mysite.ini").write_text(block(SERVICE, paths))
    directory = place / "etc/systemd/system"
    directory.mkdir(parents=True)
    moved = [
        ("/usr/local/bin/cserve", cserve),
        ("/etc/mysite.ini", place / "mysite.ini"),
        ("User=mysite\n", "User=daemon\n"),
    ]
    (directory / "mysite.service").write_text(block(UNIT, moved))
    (directory / "mysite.socket").write_text(block(SOCKET, [("/run/mysite.sock", place / "mysite.sock")]))
    return directory / "mysite.service", directory / "mysite.socket"


def needs(program, package):
    return shutil.which(program) or pytest.fail(f"{program} is needed: apt-get install {package}")


SYSTEMD = [
    "systemd-analyze verify /etc/systemd/system/mysite.service /etc/systemd/system/mysite.socket",
    "cserve --config /etc/mysite.ini --check",
    "systemctl enable mysite.socket mysite.service",
    "systemctl start mysite.socket mysite.service",
    "systemctl reload mysite",
    "systemctl restart mysite",
]
DOCKER = ["docker build", "docker run"]


def test_every_command_of_the_page_is_tested():
    others = [command for command in deployment.commands() if command not in SYSTEMD]
    assert [" ".join(command.split()[:2]) for command in others] == DOCKER
    assert set(SYSTEMD) < set(deployment.commands())


def test_units_are_in_order(cserve, place):
    needs("systemd-analyze", "systemd")
    paths = settle(cserve, place)
    verify = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True)
    assert (verify.returncode, verify.stderr) == (0, "")
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", paths[0]], capture_output=True, text=True, check=True
    )
    assert float(re.search(r"Overall exposure level \S+ \S+: ([\d.]+)", security.stdout)[1]) < 2
    enable = subprocess.run(
        ["systemctl", f"--root={place}", "enable", "mysite.socket", "mysite.service"], capture_output=True
    )
    assert enable.returncode == 0
    wants = paths[0].parent
    assert (wants / "sockets.target.wants/mysite.socket").is_symlink()
    assert (wants / "multi-user.target.wants/mysite.service").is_symlink()


def fetch(path):
    with harness.Client(str(path)) as client:
        return client.request(harness.make_request()).literal()


class Knocker(threading.Thread):
    """Connects again and again, and asks once each time, until the block ends."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._path = path
        self._enough = threading.Event()
        self.count = 0
        self.failure = None

    def run(self):
        try:
            while not self._enough.is_set():
                fetch(self._path)
                self.count += 1
        except BaseException as failure:
            self.failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._enough.set()
        self.join(harness.DEADLINE)
        assert self.failure is None and self.count > 20, (self.failure, self.count)


NEWER = """
def tell(environ, older=tell):
    return older({**environ, "version": "2"})
"""


@needs_root
def test_the_service_starts_reloads_and_restarts(public_cserve, place):
    service, socket_unit = settle(public_cserve, place)
    env = {"PATH": os.environ["PATH"], "PLACE": str(place), "ASAN_OPTIONS": "detect_leaks=0"}
    check = [public_cserve, "--config", place / "mysite.ini", "--check"]
    assert subprocess.run(check, env=env, capture_output=True).returncode == 0
    manager = units.Manager(service.read_text(), socket_unit.read_text(), place, env)
    try:
        manager.start()
        assert "WATCHDOG=1" in manager.heard
        assert fetch(manager.path)["REMOTE_ADDR"] == ""
        status = Path(f"/proc/{manager.pid}/status").read_text()
        assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE) and "NoNewPrivs:\t1" in status
        with Knocker(manager.path) as knocker:
            (place / "mysite.py").write_text(APP.read_text() + NEWER)
            manager.reload()
            assert fetch(manager.path)["version"] == "2"
            first = manager.pid
            manager.restart()
            assert manager.pid != first
            harness.eventually(lambda: knocker.count > 50, what="answers after the restart")
        manager.stop()
        assert "ERROR" not in manager.log.text()
    finally:
        manager.close()


def allowed_calls():
    """The system calls that the unit's filters let through."""

    def group(name):
        listed = subprocess.run(
            ["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True
        ).stdout
        names = set(re.findall(r"^    (\S+)", listed, re.MULTILINE))
        return {call for each in names for call in (group(each) if each.startswith("@") else [each])}

    allowed = set()
    for line in units.values(deployment.blocks()[UNIT], "SystemCallFilter"):
        groups = set().union(*map(group, line.removeprefix("~").split()))
        allowed = allowed - groups if line.startswith("~") else allowed | groups
    return allowed


def test_the_system_calls_and_sockets_that_the_unit_allows_suffice(cserve, place, tmp_path):
    if harness.is_sanitized(cserve):
        return  # the sanitizers have calls of their own
    trace = tmp_path / "trace"
    settle(cserve, place)
    status = place / "status.sock"
    options = ["--config", place / "mysite.ini", "--status", f"unix:{status}"]
    traced = ["-f", "-qq", "-o", trace, cserve, *options]
    process = harness.Process(needs("strace", "strace"), traced, place, {"PLACE": place})
    try:
        process.wait_output("^Serving HTTP on ", harness.START_DEADLINE)
        assert fetch(place / "mysite.sock")["REQUEST_METHOD"] == "GET"
        with harness.Client(str(place / "mysite.sock")) as client:
            answer = client.request(harness.make_request("POST", "/digest", body=b"x" * 1_000_000))
            assert answer.text.startswith("1000000 ")
        with harness.Client(str(status)) as client:
            assert client.request(harness.make_request(target="/metrics")).status == 200
        (master,) = harness.children(process.pid)
        os.kill(master, signal.SIGHUP)
        process.wait_log("INFO reloaded")
        os.kill(master, signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.kill()
    text = trace.read_text()
    assert not set(re.findall(r"^\d+ +(\w+)\(", text, re.MULTILINE)) - allowed_calls()
    families = units.value(deployment.blocks()[UNIT], "RestrictAddressFamilies").split()
    assert set(re.findall(r" socket(?:pair)?\((AF_\w+)", text)) <= set(families)


# The container.


def stages():
    """The instructions of each stage of the Dockerfile: lists of (name, what follows)."""
    found = []
    for line in deployment.blocks()[IMAGE].replace("\\\n", "").splitlines():
        if line and not line.startswith("#"):
            name, rest = line.split(" ", 1)
            if name == "FROM":
                found.append([])
            found[-1].append((name, rest))
    return found


def instruction(stage, name):
    (only,) = [rest for each, rest in stage if each == name]
    return only


def python_of(cserve):
    """The interpreter that it was built for."""
    text = (Path(cserve).resolve().parents[1] / "python.mk").read_text()
    return re.search(r"^PYTHON_EXECUTABLE := (.*)$", text, re.MULTILINE)[1]


def install(cserve, directory):
    """What the build stage's `make install` puts into the image; the server is built already."""
    build = Path(cserve).resolve().parent
    (line,) = [rest for name, rest in stages()[0] if name == "RUN" and rest.startswith("make ")]
    setup, command = line.split(" && ")
    assert setup == "make -C /src setup" and command == "make -C /src install DESTDIR=/out"
    words = ["make", "-C", harness.ROOT, "-o", build / "cserve", "install", f"DESTDIR={directory}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    variables = [f"BUILD={build.parent}", f"VARIANT={build.name}", f"PYTHON={python_of(cserve)}"]
    subprocess.run([*words, *variables], env=env, check=True, stdout=subprocess.DEVNULL)
    return directory / "usr/local/bin/cserve"


CONTAINER = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    content = environ["wsgi.input"].read()
    seen = {
        "status": open("/proc/self/status").read(),
        "writable": [path for path in PLACES if can_write(path)],
        "got": len(content),
        "workers": os.environ.get("CSERVE_WORKERS"),
    }
    return [repr(seen).encode()]

PLACES = ["/", ".", "/tmp", "/var/tmp", "/home", "/etc", ".venv", "/mnt/image/usr/local/bin"]

def can_write(path):
    try:
        open(f"{path}/probe", "w").close()
        return True
    except OSError:
        return False
"""

# What Docker makes of the page's flags: the image below /mnt, which hides what is there.
RUN = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/image
mount --bind "$1" /mnt/image
mount -o remount,bind,ro /mnt/image
mount -o remount,ro /mnt
mount -o remount,bind,ro / 2>/dev/null || mount -o remount,ro /
{tmpfs}
mount -t proc proc /proc
cd /mnt/image/srv/mysite
shift
exec "$@"
"""


def docker_run():
    """(the flags of `docker run` with their values, the image)."""
    (line,) = [command for command in deployment.commands() if command.startswith("docker run ")]
    words = shlex.split(line)[2:]
    flags = []
    while words[0].startswith("--"):
        flag = words.pop(0)
        flags.append((flag, None if flag == "--read-only" else words.pop(0)))
    return flags, words


@needs_root
def test_the_container_runs_as_the_page_says(public_cserve, place):
    image = place / "image"
    install(public_cserve, image)
    assert (image / "usr/local/share/doc/cserve/LICENSE").exists()
    build, final = stages()
    assert [rest for name, rest in final if name == "COPY"] == [
        "--from=build /out /",
        "--from=build /srv/mysite /srv/mysite",
    ]
    site = image / "srv/mysite"
    assert instruction(final, "WORKDIR") == "/srv/mysite"
    site.mkdir(parents=True)
    (site / "mysite.py").write_text(CONTAINER)
    subprocess.run([python_of(public_cserve), "-m", "venv", "--without-pip", site / ".venv"], check=True)
    uid, gid = instruction(final, "USER").split(":")

    confined = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    script = RUN
    env = {"ASAN_OPTIONS": "detect_leaks=0"}
    flags, words = docker_run()
    assert words == ["mysite"]
    for flag, argument in flags:
        if flag == "--tmpfs":
            script = script.replace("{tmpfs}", f"mount -t tmpfs -o mode=1777 tmpfs {argument}\n{{tmpfs}}")
        elif flag == "--env":
            name, _, value = argument.partition("=")
            env[name] = value
        else:
            confined += CONFINES[flag, argument]
    command = json.loads(instruction(final, "ENTRYPOINT"))
    assert command[0] == "/usr/local/bin/cserve"
    command = [word.replace("0.0.0.0:8000", "127.0.0.1:0") for word in command[1:]]
    inside = ["setpriv", *confined, "--", "/mnt/image/usr/local/bin/cserve", *command]
    shell = ["sh", "-c", script.replace("{tmpfs}", ""), "sh", image, *inside]
    arguments = ["--mount", "--pid", "--fork", "--kill-child", *shell]
    process = harness.Process(shutil.which("unshare"), arguments, place, env)
    try:
        process.wait_output("^Serving HTTP on ", harness.START_DEADLINE)
        with harness.Client(process.served_at()) as client:
            seen = client.request(harness.make_request("POST", body=b"x" * 1_000_000)).literal()
        assert (seen["got"], seen["writable"]) == (1_000_000, ["/tmp"])
        assert seen["workers"] == env["CSERVE_WORKERS"]
        status = dict(line.split(":\t", 1) for line in seen["status"].splitlines())
        assert set(status["Uid"].split()) == {uid} and set(status["Gid"].split()) == {gid}
        assert status["NoNewPrivs"] == "1" and int(status["CapBnd"], 16) == 0
        init = harness.children(process.pid)[0]
        assert re.search(r"^NSpid:.*\t1$", Path(f"/proc/{init}/status").read_text(), re.MULTILINE)
        os.kill(init, signal.SIGTERM)
        assert process.wait() == 0
        process.check_log()
    finally:
        process.kill()


# What the flags of `docker run` are for setpriv; --publish and --stop-timeout are for Docker alone.
CONFINES = {
    ("--read-only", None): [],
    ("--cap-drop", "ALL"): ["--bounding-set=-all", "--inh-caps=-all"],
    ("--security-opt", "no-new-privileges"): ["--no-new-privs"],
    ("--stop-timeout", "45"): [],
    ("--publish", "8000:8000"): [],
}


# Kubernetes.


def manifest(kind):
    (only,) = [each for each in yaml.safe_load_all(deployment.blocks()[CLUSTER]) if each["kind"] == kind]
    return only


def container(name="mysite"):
    containers = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    (only,) = [each for each in containers if each["name"] == name]
    return only


def environment():
    return {each["name"]: each["value"] for each in container()["env"]}


def test_the_manifest_fits_together():
    deploy, service, budget = map(manifest, ("Deployment", "Service", "PodDisruptionBudget"))
    template = deploy["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert labels == deploy["spec"]["selector"]["matchLabels"]
    assert labels == service["spec"]["selector"] == budget["spec"]["selector"]["matchLabels"]
    names = {port["name"] for port in container()["ports"]}
    assert all(port["targetPort"] in names for port in service["spec"]["ports"])
    volumes = {each["name"] for each in template["spec"]["volumes"]}
    for each in template["spec"]["containers"]:
        assert {mount["name"] for mount in each["volumeMounts"]} <= volumes
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
    assert template["spec"]["volumes"][1]["configMap"]["name"] == manifest("ConfigMap")["metadata"]["name"]
    scaler = manifest("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == deploy["metadata"]["name"]
    assert scaler["minReplicas"] == deploy["spec"]["replicas"] < scaler["maxReplicas"]


def test_the_manifest_asks_what_the_second_container_shows():
    """It is what the page has for machines, but for who may ask: that is the cluster's affair."""
    shown = manifest("ConfigMap")["data"]["status.conf"]
    machine = deployment.blocks()["/etc/nginx/sites-available/mysite-status"]
    lines = [line for line in machine.splitlines() if not re.match(r"#|    (allow|deny) ", line)]
    assert shown.splitlines() == lines
    (port,) = [port["containerPort"] for port in container("status")["ports"]]
    assert f"listen {port};" in shown and f"http://{environment()['CSERVE_STATUS']};" in shown
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        how = container()[probe]["httpGet"]
        assert how["port"] == port and f"location = {how['path']} " in shown
    notes = manifest("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert notes["prometheus.io/port"] == str(port)
    assert f"location = {notes['prometheus.io/path']} " in shown


def test_pods_are_added_before_all_threads_are_busy(cserve):
    (metric,) = manifest("HorizontalPodAutoscaler")["spec"]["metrics"]
    asked = {"name": "cserve_threads", "selector": {"matchLabels": {"state": "busy"}}}
    assert metric["pods"]["metric"] == asked
    threads = default(cserve, "workers") * default(cserve, "threads")
    assert 0 < float(metric["pods"]["target"]["averageValue"]) < threads


def test_the_manifest_runs_the_image(cserve):
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    final = stages()[1]
    security = pod["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == instruction(final, "USER")
    entry = json.loads(instruction(final, "ENTRYPOINT"))
    exposed = instruction(final, "EXPOSE").split()
    assert [str(port["containerPort"]) for port in container()["ports"]] == exposed
    assert [entry[entry.index("--bind") + 1].split(":")[1]] == exposed
    env = environment()
    shown = [line for line in printed(cserve, env) if "environment variable" in line]
    assert len(shown) == len(env)
    assert [mount["mountPath"] for mount in container()["volumeMounts"]] == ["/tmp"]


# What both pages name.


@pytest.mark.parametrize("page", ["deployment.md", "security.md"])
def test_every_option_that_a_page_names_exists(page):
    text = deployment.BLOCK.sub("", (harness.ROOT / "docs" / page).read_text())
    known = set(re.findall(r"`[^`]*?(--[\w-]+)", (harness.ROOT / "docs/options.md").read_text()))
    assert set(re.findall(r"`(--[\w-]+)", text)) - known <= {"--stop-timeout"}
    links = re.findall(r"\]\(([\w.-]+\.md)(?:#[\w-]+)?\)", text)
    assert links and all((harness.ROOT / "docs" / link).exists() for link in links)
