"""Hello, World!, as bare WSGI: the application that everything is measured with.

    cserve apps/hello.py
    curl http://127.0.0.1:8888/hello
"""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, World!\n"]
