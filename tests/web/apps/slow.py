"""An application that takes its time, in the ways that an application can."""

import threading
import time

import cserve

seen = []


def answer(start_response, text):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]


def spin(environ, start_response):
    """Python code that never ends by itself."""
    try:
        while True:
            pass
    except cserve.RequestTimeout:
        seen.append("RequestTimeout")
        raise


def sleep(environ, start_response):
    """One call of C that takes as many seconds as the query string says."""
    time.sleep(float(environ["QUERY_STRING"]))
    seen.append("slept")
    return answer(start_response, "slept")


def recover(environ, start_response):
    """Catches the exception and answers all the same: too late."""
    try:
        while True:
            pass
    except cserve.RequestTimeout:
        return answer(start_response, "recovered")


def stream(environ, start_response):
    """Begins its answer, then hangs."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"beginning"
    while True:
        pass


def started(environ, start_response):
    """Hangs after start_response: the head that it gave was not sent."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Started", "yes")])
    while True:
        pass


def late(environ, start_response):
    """Is over just before it would be ended."""
    time.sleep(float(environ["QUERY_STRING"]))
    return answer(start_response, "in time")


def steps(environ, start_response):
    """Many steps, none of which takes long, each more than a socket holds."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(20):
        time.sleep(0.3)
        yield b"x" * 4_000_000


def written(environ, start_response):
    """More than a client that does not read will take."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(100):
        write(b"x" * 1_000_000)
    return []


def report(environ, start_response):
    return answer(start_response, ",".join(seen))


def forever(environ, start_response):
    """Blocks in C for good."""
    threading.Lock().acquire()
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def app(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
