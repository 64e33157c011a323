"""Answers that are sent while they are made, as bare WSGI: whatever the application yields leaves at once.

    cserve apps/streaming.py
    curl -N http://127.0.0.1:8888/count     counts to ten, one line every half second
    curl -N http://127.0.0.1:8888/events    the same as server-sent events; a browser at / shows them
    curl -N http://127.0.0.1:8888/written   a greeting by write(), the older way
    curl http://127.0.0.1:8888/squares      a hundred thousand lines, never more than one in memory
"""
import time

PAGE = b"""<!doctype html>
<title>Streaming</title>
<h1>Counting: <output>0</output></h1>
<script>
  const events = new EventSource("events");
  events.onmessage = event => { document.querySelector("output").textContent = event.data; };
  events.addEventListener("end", () => events.close());
</script>
"""


def app(environ, start_response):
    return ROUTES.get(environ["PATH_INFO"], not_found)(start_response)


def page(start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def count(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"%d\n" % number for number in slowly(10))


def events(start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    for number in slowly(10):
        yield b"data: %d\n\n" % number
    yield b"event: end\ndata:\n\n"


def written(start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"Hello, ")
    write(b"World!\n")
    return []


def squares(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"%d\n" % (number * number) for number in range(100_000))


def not_found(start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"There is / and /count, /events, /written, /squares.\n"]


def slowly(last):
    for number in range(1, last + 1):
        yield number
        if number < last:
            time.sleep(0.5)


ROUTES = {"/": page, "/count": count, "/events": events, "/written": written, "/squares": squares}
