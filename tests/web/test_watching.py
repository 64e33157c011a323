"""The status listener, statsd, and docs/watching.md: what the master tells those who watch."""

import contextlib
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import time

import pytest
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as open_metrics

import harness
from harness import eventually, make_request
from load import Load
from watched import APP, CLASSES, Watched

PAGE = (harness.ROOT / "docs/watching.md").read_text()
TABLE = (harness.ROOT / "src/process/metrics.c").read_text()
PROMPT = 0.05  # seconds, in which an answer must come whatever workers do
PATIENCE = 20  # times that, on a machine that is busy with other things


@contextlib.contextmanager
def asking(server, target, count=1):
    """Requests under way, one on each of as many connections."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(count)]
        for client in clients:
            client.send(make_request(target=target))
        yield clients


def counters(metrics):
    return {key: value for key, value in metrics.items() if re.search("_(total|bucket|count|sum)$", key[0])}


def expect_no_fall(before, after):
    fallen = {key: (value, after[key]) for key, value in before.items() if after[key] < value}
    assert not fallen


# --- /metrics -------------------------------------------------------------------------------------


def test_both_formats_are_understood(watch):
    watched = watch()
    watched.server.get("/")
    old = watched.get("/metrics")
    assert old["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in prometheus.text_string_to_metric_families(old.text)}
    new = watched.get("/metrics", {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert new["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = list(open_metrics.text_string_to_metric_families(new.text))
    assert {family.name for family in families} == {
        "cserve_build" if name == "cserve_build_info" else name for name in names
    }
    assert not [family.name for family in families if not family.documentation]


def test_answers_are_counted_by_class(watch):
    watched = watch()
    for status in (200, 201, 304, 404, 410, 503):
        watched.server.get(f"/status?{status}")
    with watched.server.connect() as client:
        client.send(b"GET / HT")
    eventually(lambda: watched.metric("cserve_requests_total", "none") == 1)
    metrics = watched.metrics()
    assert [metrics["cserve_requests_total", each] for each in CLASSES] == [2, 1, 2, 1]


def test_reasons_and_bytes(watch):
    watched = watch("--limit-request-line", "100", "--body-buffer", "1000")
    server = watched.server
    assert server.get("/" + "a" * 200).status == 414
    assert server.request("POST", "/", body=b"x" * 100_000).status == 200
    metrics = watched.metrics()
    assert metrics["cserve_requests_rejected_total", "line-too-long"] == 1
    assert metrics["cserve_requests_total", "4xx"] == 1
    assert metrics["cserve_spooled_bodies_total",] == 1
    assert metrics["cserve_received_bytes_total",] > 100_000
    assert metrics["cserve_connections_accepted_total",] == 2
    eventually(lambda: sum(watched.overview()["now"]["connections"].values()) == 0)
    metrics = watched.metrics()
    assert metrics["cserve_spool_files",] == 0 and metrics["cserve_spool_bytes",] == 0


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_counters_equal_the_load_through_reloads(watch, options):
    watched = watch("--workers", "2", *options)
    before = {}
    with Load(watched.server, connections=16, seconds=60) as load:
        for _ in range(3):
            known = len(re.findall(" reloaded$", watched.server.log(), re.MULTILINE))
            watched.server.signal(signal.SIGHUP)
            while len(re.findall(" reloaded$", watched.server.log(), re.MULTILINE)) == known:
                after = counters(watched.metrics())
                expect_no_fall(before, after)
                before = after
    load.expect_no_loss()
    metrics = watched.metrics()
    # wrk forgets the answers that it was still waiting for when it was stopped: one on each connection.
    assert 0 <= watched.answered(metrics) - load.requests <= 16
    assert metrics["cserve_request_duration_seconds_count",] == watched.answered(metrics)
    assert metrics["cserve_worker_restarts_total", "reload"] == 6
    assert metrics["cserve_requests_lost_total",] == 0


def test_counters_survive_kill_9(watch):
    watched = watch("--workers", "2")
    sent, before = 0, {}
    for kills in (1, 2, 3):
        for _ in range(20):
            assert watched.server.get("/").status == 200
            sent += 1
        os.kill(min(harness.children(watched.server.pid)), signal.SIGKILL)
        watched.server.expect_log(r"worker \d+ was killed by signal 9")
        eventually(lambda kills=kills: watched.metric("cserve_worker_restarts_total", "crash") == kills)
        eventually(lambda: watched.metric("cserve_workers", "serving") == 2)
        after = watched.metrics()
        expect_no_fall(before, counters(after))
        before = counters(after)
        assert after["cserve_requests_total", "2xx"] == sent
    assert after["cserve_worker_restarts_total", "crash"] == 3


def test_a_request_that_dies_with_its_worker_is_lost(watch, gate):
    watched = watch()
    with asking(watched.server, f"/gate?{gate.path}"):
        gate.wait_until_reached()
        eventually(lambda: watched.metric("cserve_requests_in_flight") == 1)
        os.kill(watched.server.worker, signal.SIGKILL)
        watched.server.expect_log(r"worker \d+ was killed by signal 9")
        eventually(lambda: watched.metric("cserve_requests_lost_total") == 1)
    assert watched.answered() == 0
    assert watched.metric("cserve_requests_in_flight") == 0


def test_slow_requests_show_in_threads_queue_and_histograms(watch, gate):
    watched = watch("--threads", "2")
    with asking(watched.server, f"/gate?{gate.path}", count=4) as clients:
        eventually(lambda: watched.metric("cserve_requests_queued") == 2)
        metrics = watched.metrics()
        assert metrics["cserve_threads", "busy"] == 2 and metrics["cserve_threads", "idle"] == 0
        assert metrics["cserve_requests_in_flight",] == 4
        assert metrics["cserve_takeovers_total",] >= 1
        shown = watched.overview()
        assert [each["line"].split("?")[0] for each in shown["in_flight"]] == ["GET /gate"] * 2
        assert {each["worker"] for each in shown["in_flight"]} == {watched.server.worker}
        begin = shown["now_ms"] - max(each["age_ms"] for each in shown["in_flight"])
        gate.release()
        for client in clients:
            assert client.response().status == 200
    seconds = (watched.overview()["now_ms"] - begin) / 1000
    metrics = watched.metrics()
    for name in ("duration", "app", "queue"):
        key = f"cserve_request_{name}_seconds"
        assert metrics[f"{key}_count",] == 4
        assert 0 <= metrics[f"{key}_sum",] <= 4 * seconds + 1
        buckets = [value for each, value in metrics.items() if each[0] == f"{key}_bucket"]
        assert buckets == sorted(buckets) and buckets[-1] == 4
    assert metrics["cserve_request_duration_seconds_sum",] >= metrics["cserve_request_app_seconds_sum",]
    slowest = watched.overview()["slowest"]
    assert len(slowest) == 4 and slowest[0]["status"] == 200
    assert slowest == sorted(slowest, key=lambda each: -each["total_us"])


def test_files_are_counted_like_other_answers(watch, tmp_path):
    (tmp_path / "a.txt").write_text("a file")
    watched = watch("--static", f"/files={tmp_path}")
    for _ in range(3):
        assert watched.server.get("/files/a.txt").text == "a file"
    metrics = watched.metrics()
    assert metrics["cserve_requests_total", "2xx"] == 3
    assert metrics["cserve_request_duration_seconds_count",] == 3
    assert metrics["cserve_request_duration_seconds_sum",] < harness.DEADLINE
    eventually(lambda: sum(watched.overview()["now"]["connections"].values()) == 0)
    os.kill(watched.server.worker, signal.SIGKILL)
    watched.server.expect_log(r"worker \d+ was killed by signal 9")
    eventually(lambda: watched.metric("cserve_worker_restarts_total", "crash") == 1)
    assert watched.metric("cserve_requests_lost_total") == 0


def test_timeouts_are_counted(watch):
    watched = watch("--header-timeout", "0.2", "--keep-alive", "0.2")
    with watched.server.connect() as slow, watched.server.connect() as idle:
        slow.send(b"GET / HT")
        idle.request(make_request())
        assert slow.response().status == 408
        assert idle.receive() == b""
    metrics = watched.metrics()
    assert metrics["cserve_timeouts_total", "header"] == 1
    assert metrics["cserve_timeouts_total", "keep-alive"] == 1
    assert metrics["cserve_requests_rejected_total", "timeout-head"] == 1


# --- health and readiness -------------------------------------------------------------------------


def test_healthz_while_every_worker_is_stuck(watch, gate):
    watched = watch("--workers", "2", "--threads", "2")
    with contextlib.ExitStack() as stack:
        stack.callback(gate.release)
        for _ in range(40):  # until it was every worker's turn
            client = stack.enter_context(watched.server.connect())
            client.send(make_request(target=f"/stuck?{gate.path}"))
        eventually(lambda: len({each["worker"] for each in watched.overview()["in_flight"]}) == 2)
        with watched.server.connect() as client:
            client.send(make_request())
            assert client.is_silent(0.2)
        times = []
        for target in ("/healthz", "/metrics", "/status.json", "/readyz") * 5:
            begin = time.monotonic()
            assert watched.get(target).status == 200
            times.append(time.monotonic() - begin)
        assert sorted(times)[len(times) // 2] < PROMPT and max(times) < PROMPT * PATIENCE
        gate.release()


def test_readiness_through_start_drain_and_stop(launch, gate, tmp_path):
    source = f"open({str(gate.path)!r}, 'rb', 0).read(1)\n" + APP.read_text()
    (tmp_path / "app.py").write_text(source)
    process = launch("--port", "0", "--status", "127.0.0.1:0", "--drain-delay", "1.5", "app")
    watched = Watched(process)
    assert watched.get("/healthz").status == 200
    assert (watched.get("/readyz").status, watched.get("/readyz").text) == (503, "starting\n")
    gate.open()
    process.wait_output(harness.SERVING.pattern)
    assert watched.get("/readyz").status == 200
    begin = time.monotonic()
    with harness.Client(process.served_at()) as client:
        client.send(make_request(target=f"/gate?{gate.path}"))
        eventually(lambda: watched.overview()["in_flight"])
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGTERM)  # as timeout(1) does: the same order
        eventually(lambda: watched.get("/readyz").text == "draining\n")
        assert watched.get("/readyz").status == 503 and watched.get("/healthz").status == 200
        assert process.fetch().status == 200
        eventually(lambda: watched.get("/readyz").text == "stopping\n")
        assert time.monotonic() - begin >= 1.4
        gate.open()
        assert client.response().status == 200
    assert process.wait() == 0


def test_a_second_order_ends_the_delay(watch):
    watched = watch("--drain-delay", "600")
    watched.server.signal(signal.SIGTERM)
    eventually(lambda: watched.get("/readyz").text == "draining\n")
    pause = time.monotonic() + 0.05  # less than that apart they are one order
    eventually(lambda: time.monotonic() > pause)
    watched.server.signal(signal.SIGTERM)
    assert watched.server.wait() == 0


# --- who may ask, and how -------------------------------------------------------------------------


def test_a_unix_socket_is_for_its_owner_alone(serve, tmp_path):
    path = tmp_path / "status.sock"
    watched = Watched(serve(APP, "--status", f"unix:{path}"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert watched.get("/healthz").status == 200
    assert watched.get("/healthz", {"Host": "anything.example"}).status == 200
    watched.server.stop()
    assert not path.exists()


@pytest.mark.parametrize("option", [(), ("--check",)])
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:9100"])
def test_an_address_for_everybody_is_refused(run, address, option):
    status, _, log = run(*option, "--port", "0", "--status", address, str(APP))
    assert status == 1
    assert re.search(rf"--status: {re.escape(address)} can be reached from other.*127.0.0.1:PORT", log)


def test_an_address_that_is_taken_is_named(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, _, log = run("--port", "0", "--status", f"127.0.0.1:{port}", str(APP))
    assert status == 1 and re.search(rf"--status: cannot listen on 127.0.0.1:{port}: .*another program", log)


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1", 200), ("127.0.0.1:9100", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:1", 200),
    ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:9100", 421), ("", 421),
])  # fmt: skip
def test_only_hosts_that_nobody_can_point_here(watch_shared, host, status):
    assert watch_shared.get("/status.json", {"Host": host}).status == status


@pytest.fixture(scope="module")
def watch_shared(serve_module):
    return Watched(serve_module(APP, "--status", "127.0.0.1:0"))


@pytest.mark.parametrize("request_, status", [
    (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", 413),
    (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
    (b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
    (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage", 400),
    (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 3000), 414),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 65 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: %s\r\n" % (b"b" * 3000) * 3 + b"\r\n", 431),
])  # fmt: skip
def test_what_is_refused(watch_shared, request_, status):
    with harness.Client(watch_shared.address) as client:
        client.send(request_)
        response = client.response(method=request_.split(b" ")[0].decode("latin-1"))
        assert response.status == status
        assert client.receive() == b""


def test_heads_may_come_in_pieces_and_connections_stay(watch_shared):
    with harness.Client(watch_shared.address) as client:
        for _ in range(3):
            client.send_each(bytes([byte]) for byte in make_request(target="/healthz"))
            assert client.response().text == "ok\n"
        assert client.request(make_request(target="/nowhere")).status == 404
        whole = client.request(make_request(target="/readyz"))
        head = client.request(make_request("HEAD", "/readyz"), method="HEAD")
        assert head.body == b"" and head["Content-Length"] == whole["Content-Length"]
        client.send(make_request(target="/healthz") * 2)  # the second is not waited for
        assert client.response().text == "ok\n"
        assert client.receive() == b""


def test_the_moment_of_the_start_stays(watch_shared):
    seen = {watch_shared.overview()["server"]["started"] for _ in range(5)}
    assert len(seen) == 1


def test_newcomers_take_the_places_of_idlers(watch_shared):
    request = make_request(target="/healthz")
    idlers = [harness.Client(watch_shared.address) for _ in range(32)]
    for each in idlers:
        assert each.request(request).status == 200
    newcomers = [harness.Client(watch_shared.address) for _ in range(16)]
    for each in newcomers:
        assert each.request(request).status == 200
    for each in [*idlers, *newcomers]:
        each.close()


def test_a_crowd_that_says_nothing_keeps_nobody_out(watch_shared):
    crowd = [socket.create_connection(watch_shared.address) for _ in range(64)]
    for each in crowd[::2]:
        each.send(b"GET /met")
    try:
        for _ in range(10):
            assert watch_shared.get("/healthz").status == 200
        assert len(harness.links(watch_shared.server.pid)) < 64
    finally:
        for each in crowd:
            each.close()


def test_who_does_not_read_holds_nobody_up(watch_shared):
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            client = stack.enter_context(harness.Client(watch_shared.address, receive_buffer=2048))
            client.send(make_request(target="/metrics"))
        begin = time.monotonic()
        assert watch_shared.get("/healthz").status == 200
        assert time.monotonic() - begin < PROMPT * PATIENCE
        assert watch_shared.server.get("/").status == 200


def test_a_slow_head_is_given_up(watch_shared):
    with harness.Client(watch_shared.address) as client:
        client.send(b"GET /metrics HTTP/1.1\r\n")
        begin = time.monotonic()
        assert client.receive() == b""
        assert time.monotonic() - begin < 8


def test_an_idle_master_sleeps(watch_shared):
    eventually(lambda: harness.is_idle(watch_shared.server.pid))


# --- /status.json ---------------------------------------------------------------------------------


def documented():
    """{member: {names in backquotes}} of the table of /status.json."""
    section = PAGE[PAGE.index("## /status.json"):PAGE.index("## statsd")]
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", section, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", text)) for name, text in rows}


def test_status_json_is_as_documented(watch):
    watched = watch("--workers", "2")
    watched.server.get("/caf%C3%A9?\"quoted\"")
    shown, told = watched.overview(), documented()
    assert set(shown) == {name for name in told if "." not in name}
    assert set(shown["server"]) - {"options"} <= told["server"]
    assert set(shown["server"]["options"]) == told["server.options"]
    for member in ("totals", "now"):
        assert set(shown[member]) <= told[member]
    assert set(shown["latency"]) | set(shown["latency"]["total"]) <= told["latency"]
    for member in ("workers", "slowest"):
        assert set(shown[member][0]) <= told[member]
    assert shown["slowest"][0]["line"] == "GET /caf%C3%A9?\"quoted\" HTTP/1.1"
    assert shown["server"]["pid"] == watched.server.pid
    assert {each["pid"] for each in shown["workers"]} == set(harness.children(watched.server.pid))
    assert all(each["rss_bytes"] > 1e6 and each["state"] == "serving" for each in shown["workers"])
    (low, high, count), = shown["latency"]["total"]["buckets"]
    assert count == 1 and low <= shown["latency"]["total"]["sum_us"] < high


def test_a_new_binary_takes_the_listener_over(serve):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serve(APP, "--status", f"127.0.0.1:{port}", "--drain-delay", "600")
    watched, old = Watched(server), server.pid
    with server.connect() as busy:  # the old one will have to wait for it
        busy.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
        eventually(lambda: watched.overview()["now"]["connections"]["content"] == 1)
        server.signal(signal.SIGUSR2)
        heir = int(server.wait_log(r"SIGUSR2: process (\d+) starts")[1])
        try:
            eventually(lambda: server.output().count("Serving HTTP on") == 2)
            assert watched.overview()["server"]["pid"] == old
            server.signal(signal.SIGTERM)

            def of_heir():
                with contextlib.suppress(OSError, harness.Truncated):  # between the one and the other
                    assert watched.get("/readyz").status == 200
                    return watched.overview()["server"]["pid"] == heir

            eventually(of_heir)
            assert harness.is_alive(old)
            busy.send(b"x")
            assert busy.response("POST").status == 200
            assert server.wait_end() == 0
        finally:
            os.kill(heir, signal.SIGINT)  # without the delay
            eventually(lambda: not harness.is_alive(heir))


# --- statsd ---------------------------------------------------------------------------------------


class Statsd:
    """A statsd server: what it was told, added up."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(harness.DEADLINE)
        self.values, self.timers, self.suffixes = {}, 0.0, set()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.socket.getsockname()[1]

    def receive(self):
        for line in self.socket.recv(65536).decode().splitlines():
            name, value, kind, rate, tags = re.fullmatch(
                r"([\w.]+):([\d.]+)\|(c|g|ms)(?:\|@([\d.e-]+))?(\|#.*)?", line).groups()
            self.suffixes.add(tags)
            if kind == "c":
                self.values[name] = self.values.get(name, 0) + int(value)
            elif kind == "g":
                self.values[name] = int(value)
            else:
                self.timers += 1 / float(rate or 1)

    def close(self):
        self.socket.close()


def test_statsd_is_told(serve):
    statsd = Statsd()
    names = ("--statsd-prefix", "shop", "--dogstatsd-tags", "a:b,c")
    server = serve(APP, "--statsd-host", statsd.address, *names)
    for _ in range(30):
        server.get("/")
    server.get("/status?404")
    while statsd.values.get("shop.gunicorn.requests", 0) < 31:
        statsd.receive()
    assert statsd.values["shop.gunicorn.requests"] == 31
    assert statsd.values["shop.gunicorn.request.status.200"] == 30
    assert statsd.values["shop.gunicorn.request.status.404"] == 1
    assert statsd.values["shop.gunicorn.workers"] == 1
    assert round(statsd.timers, 6) == 31
    assert statsd.suffixes == {"|#a:b,c"}
    server.get("/")
    server.stop()  # what is left is sent at the end
    while statsd.values["shop.gunicorn.requests"] < 32:
        statsd.receive()
    statsd.close()


def test_nobody_need_be_at_statsd(serve):
    statsd = Statsd()
    address = statsd.address
    statsd.close()
    server = serve(APP, "--statsd-host", address, "--status", "127.0.0.1:0")
    watched = Watched(server)
    uptime = watched.overview()["server"]["uptime_ms"]
    eventually(lambda: watched.overview()["server"]["uptime_ms"] > uptime + 2100)
    assert server.get("/").status == 200


# --- docs/watching.md -----------------------------------------------------------------------------


def test_every_metric_is_listed(watch):
    text = watch().get("/metrics").text
    told = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (\S+) (.*)$", text, re.MULTILINE))
    listed = {name: (kind, help_) for name, kind, _, help_ in
              re.findall(r"^\| `(cserve_\w+)` \| (\w+) \| ([\w, ]*) \| (.*) \|$", PAGE, re.MULTILINE)}
    assert listed == {name: (kinds[name], told[name]) for name in told}


def test_commands_do_what_is_shown(cserve, tmp_path):
    (tmp_path / "apps").symlink_to(harness.ROOT / "apps")
    command, *lines = re.search(r"```console\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
    arguments = [text.replace(":9100", ":0") for text in shlex.split(command)[2:]]
    process = harness.Process(cserve, ["--port", "0", *arguments], tmp_path)
    try:
        process.wait_output(harness.SERVING.pattern)
        port = Watched(process).address[1]
        for asked, answer in zip(lines[::2], lines[1::2]):
            told = subprocess.run(["curl", "-sS", *shlex.split(asked.replace(":9100", f":{port}"))[2:]],
                                  capture_output=True, text=True, check=True)
            assert told.stdout == f"{answer}\n"
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.kill()
