"""No way through the gateway leaks: after many requests the worker holds as many objects as after few."""

import pytest

import harness

WARM, MANY, ROUNDS = 30, 100, 12
SLACK = 40  # less than one block, reference or descriptor for each of MANY requests

FILE = [("File", __file__)]
BODY = b"one\ntwo\nthree\n" * 20
SPILLED = b"a line of some length\n" * 60_000  # more than the server keeps in memory

FIELDS = [("X-Own", "1"), ("x-own", "2"), ("Cookie", "a=b"), ("Cookie", "c=d"), ("Accept", "a" * 300),
          ("Accept", "*/*"), ("Bad_Name", "x")]

REQUESTS = {
    "list": ("results.as_list",),
    "tuple": ("results.as_tuple",),
    "long list": ("results.as_long_list",),
    "empty": ("results.as_empty",),
    "generator": ("results.as_generator",),
    "iterator of length one": ("results.as_sized_one",),
    "sequence protocol": ("results.as_indexed",),
    "large item": ("results.large", "GET", "/?300000"),
    "large generator": ("results.large_generator", "GET", "/?2"),
    "HEAD": ("results.as_generator", "HEAD"),
    "close": ("results.counted", "GET", "/?leak"),
    "made-up method": ("environ.dump", "BREW", "/caf%C3%A9?x=%20"),
    "fields": ("environ.dump", "GET", "/", FIELDS),
    "write": ("leaks.half_written",),
    "exc_info": ("head.replaced",),
    "contexts": ("leaks.contexts",),
    "cycle": ("leaks.cycle",),
    "reads": ("leaks.reads", "POST", "/", (), BODY),
    "reads of a file": ("leaks.reads", "POST", "/", (), SPILLED),
    "digest of a file": ("content.digest", "POST", "/", (), SPILLED),
    "unread": ("content.ignore", "POST", "/", (), SPILLED),
    "small file": ("files.buffered", "GET", "/", FILE),
    "large file": ("files.buffered", "GET", "/", [("File", "/proc/self/exe")]),
    "file after write": ("files.after_write", "GET", "/?leak", FILE),
    "file in memory": ("files.in_memory",),
    "pipe": ("files.pipe",),
    "errors": ("environ.errors",),
}

FAILURES = {
    "raises": ("failures.at_once", "GET", "/?ValueError"),
    "exits": ("failures.started", "GET", "/?SystemExit"),
    "iter": ("failures.in_method", "GET", "/?iter,ValueError"),
    "next": ("failures.in_method", "GET", "/?next2,ValueError"),
    "close": ("failures.in_method", "GET", "/?close,ValueError"),
    "unprintable": ("failures.odd_exception",),
    "str": ("results.yields_text_late",),
    "None": ("results.as_none",),
    "no start_response": ("head.not_called",),
    "excess": ("results.counted_excess", "GET", "/?leak"),
    "short": ("results.counted_short", "GET", "/?leak"),
    "too late": ("results.counted_failing_late", "GET", "/?leak"),
    "closed file": ("files.closed_file", "GET", "/?leak", FILE),
}


def drive(host, count, request):
    for _ in range(count):
        try:
            host.request(*request)
        except harness.Truncated:
            pass


def check(host, request_many):
    """Python's free lists and caches fill up in the first rounds; a leak grows in every one."""
    host.value("leaks.report")
    before, growth = host.value("leaks.report"), []
    for _ in range(ROUNDS):
        request_many(MANY)
        after = host.value("leaks.report")
        growth.append([late - early for early, late in zip(before, after)])
        if max(growth[-1]) < SLACK:
            return
        before = after
    raise AssertionError(f"blocks, references and descriptors grew by {growth} in rounds of {MANY} requests")


@pytest.mark.parametrize("name", REQUESTS)
def test_nothing_leaks(host, name):
    drive(host, WARM, REQUESTS[name])
    check(host, lambda count: drive(host, count, REQUESTS[name]))


@pytest.mark.parametrize("name", FAILURES)
def test_nothing_leaks_on_failure(host, name):
    host.server.expect_log("ERROR")
    drive(host, WARM, FAILURES[name])
    check(host, lambda count: drive(host, count, FAILURES[name]))


def test_nothing_leaks_when_clients_leave(host):
    def leave():
        with host.connect(receive_buffer=4096) as client:
            client.send(host.raw("results.counted_endless", target="/?left"))
            client.receive_until(b"endless")
            client.abort()

    def leave_many(count):
        closed = host.closed("left")
        for _ in range(count):
            leave()
        harness.eventually(lambda: host.closed("left") == closed + count, what="close() of each")

    leave_many(WARM)
    check(host, leave_many)
