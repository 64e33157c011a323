"""What the chaos run asks: every answer names the process and says the request's token again."""

import os
import time


def app(environ, start_response):
    path = environ["PATH_INFO"]
    token = environ["QUERY_STRING"]
    head = f"{os.getpid()} {token}\n".encode()
    if path == "/slow":
        time.sleep(0.05)
    if path == "/upload":
        head += environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/stream":
        return stream(head)
    return [head + b"x" * 500_000 if path == "/large" else head]


def stream(head):
    yield head
    for _ in range(20):
        yield b"x" * 10_000
