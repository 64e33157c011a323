"""The scenarios: a table of what is asked for, by how many clients, and what the answer must be."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import requests
from apps import content

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

KB, MB = 1000, 1000 * 1000
FILES = {"50KB": 50 * KB, "50MB": 50 * MB}  # what /file sends: name, size
LONG = 4  # seconds
WAITING_CONNECTIONS = 512
WAITING_THREADS = 64


@dataclasses.dataclass(frozen=True)
class App:
    module: str  # its callable is named app
    directory: Path = HERE / "apps"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A row of the table."""

    name: str
    group: str
    app: App
    request: Callable  # the bytes of the request with this number, `pipeline` requests at once
    expected: Callable  # the bytes of the answer's content
    sent: int = 0  # bytes of the request's content
    connections: int = 64
    pipeline: int = 1
    varying: bool = False  # each request differs from every other
    at_least: int = 1  # seconds of a measurement, where requests take long
    threads: int = None  # of all servers that have any; None: what each recommends
    tool: str = "wrk"
    beside: str = ""  # what else the server has to do meanwhile: load.COMPANIONS
    compared: bool = True  # also under load: not where comparing would be all that the client does
    yardstick: bool = False  # the server in C can answer it
    quick: bool = False  # part of --quick


HELLO = App("hello", ROOT / "apps")
BARE = App("bare")
FLASK, DJANGO, PYRAMID = App("flask_pages"), App("django_pages"), App("pyramid_pages")


def get(target, *fields):
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *fields, "", ""]).encode()
    return lambda _number: head


def post(target, body):
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda _number: head + body


def post_chunked(target, body, size):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return lambda _number: head + chunks


def hello():
    return content.HELLO


def of_size(size):
    return functools.partial(content.pattern, size)


def sized(name, size, **more):
    return Scenario(name, "bodies", BARE, get(f"/bytes?{size}"), of_size(size), **more)


def echo(name, size, **more):
    return Scenario(name, "uploads", BARE, post("/echo", content.pattern(size)), of_size(size), sent=size,
                    **more)


def framework(name, app, end=b""):
    """A text and a page; `end` is what this template engine leaves behind the page."""
    return [
        Scenario(f"{name}, hello", "frameworks", app, get("/hello"), hello, quick=name == "Flask"),
        Scenario(f"{name}, page", "frameworks", app, get("/page"), functools.partial(content.page, end)),
    ]


def sleeping(milliseconds):
    return Scenario(f"{milliseconds} ms of sleep, {WAITING_CONNECTIONS} connections", "waiting", BARE,
                    get(f"/sleep?{milliseconds}"), hello, connections=WAITING_CONNECTIONS,
                    threads=WAITING_THREADS, at_least=LONG)


SCENARIOS = [
    Scenario("hello", "hello", BARE, requests.minimal, hello, yardstick=True, quick=True),
    Scenario("hello, length not declared", "hello", HELLO, requests.minimal, hello, yardstick=True),
    Scenario("hello, by h2load", "hello", BARE, requests.minimal, hello, tool="h2load", yardstick=True),
    Scenario("browser's request, repeated", "hello", BARE, requests.browser, hello, yardstick=True),
    Scenario("browser's request, every value new", "hello", BARE, requests.varying, hello, varying=True,
             yardstick=True, quick=True),
    Scenario("no keep-alive", "hello", BARE, get("/hello", "Connection: close"), hello, quick=True),
    Scenario("pipelined 16", "hello", BARE, lambda number: 16 * requests.minimal(number), hello, pipeline=16,
             yardstick=True),

    sized("1 KB", 1 * KB),
    sized("10 KB", 10 * KB),
    sized("100 KB", 100 * KB),
    sized("1 MB", 1 * MB, connections=16),
    Scenario("JSON", "bodies", BARE, get("/json"), content.as_json),

    echo("POST echo, 1 KB", 1 * KB, quick=True),
    echo("POST echo, 100 KB", 100 * KB),
    Scenario("chunked upload, 10 KB in 10", "uploads", BARE,
             post_chunked("/echo", content.pattern(10 * KB), 1 * KB), of_size(10 * KB), sent=10 * KB),
    Scenario("20 MB upload", "uploads", BARE, post("/count", content.pattern(20 * MB)),
             lambda: b"%d bytes\n" % (20 * MB), sent=20 * MB, connections=4, at_least=LONG),

    Scenario("generator, 200 of 100 bytes", "streams", BARE, get("/stream"),
             lambda: b"".join(content.STREAMED)),
    Scenario("file of 50 KB", "streams", BARE, get("/file?50KB"), of_size(FILES["50KB"])),
    Scenario("file of 50 MB", "streams", BARE, get("/file?50MB"), of_size(FILES["50MB"]), connections=4,
             compared=False, at_least=LONG),

    *framework("Flask", FLASK),
    *framework("Django", DJANGO, end=b"\n"),
    *framework("Pyramid", PYRAMID),

    sleeping(10),
    sleeping(100),
    Scenario("hello beside 4 clients that sleep 100 ms", "waiting", BARE, requests.minimal, hello,
             connections=60, threads=16, beside="sleepers"),
    Scenario("hello, 4,096 connections", "waiting", BARE, requests.minimal, hello, connections=4096,
             at_least=LONG),
    Scenario("hello beside 200 slow clients", "waiting", BARE, requests.minimal, hello,
             beside="slow clients"),
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
GROUPS = list(dict.fromkeys(scenario.group for scenario in SCENARIOS))


def write_files(directory):
    """The files that /file sends, for servers of whatever user."""
    directory.mkdir(mode=0o755)
    for name, size in FILES.items():
        (directory / name).write_bytes(content.pattern(size))
