"""What is tortured: answers that tell what was asked, so that a wrong one shows."""

import zlib

LARGE = [b"0123456789abcdef" * 65536]


def app(environ, start_response):
    content = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/large":
        answer = LARGE
    else:
        told = f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} {len(content)} {zlib.crc32(content)}\n"
        answer = [told.encode("latin-1")]
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer[0])))])
    return answer
