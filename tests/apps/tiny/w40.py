"""What Flask hands to its users of a request, told back."""

import hashlib
import os

from flask import Flask, Response, g, jsonify, request, send_file
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)


def told(content, **more):
    return jsonify(size=len(content), digest=hashlib.sha256(content).hexdigest(), **more)


@app.post("/stream")
def stream():
    """request.stream, read in odd pieces."""
    pieces = list(iter(lambda: request.stream.read(4_097), b""))
    return told(b"".join(pieces), length=request.content_length, largest=max(map(len, pieces), default=0),
                terminated=request.environ["wsgi.input_terminated"])


@app.post("/lines")
def lines():
    return jsonify([line.decode() for line in request.stream])


@app.post("/data")
def data():
    return told(request.get_data(), length=request.content_length)


@app.post("/form")
def form():
    files = {name: len(file.read()) for name, file in request.files.items()}
    return jsonify(form=request.form.to_dict(), files=files)


@app.post("/json")
def json():
    return jsonify(request.get_json())


@app.post("/unread")
def unread():
    """Answers without a look at the content."""
    return "unread"


@app.get("/address/")
@app.get("/address/<path:path>")
def address(path=""):
    return jsonify(path=request.path, full_path=request.full_path, url=request.url, view_argument=path,
                   args=request.args.to_dict(), remote_addr=request.remote_addr, scheme=request.scheme,
                   host=request.host, script_root=request.script_root)


@app.get("/gated")
def gated():
    """One line at once, the next when the test opens the gate."""
    def lines(gate=request.headers["Gate"]):
        yield "first\n"
        with open(gate, "rb", buffering=0) as opened:
            opened.read(1)
        yield "second\n"
    return Response(lines(), mimetype="text/plain")


@app.get("/file")
def file():
    return send_file(os.environ["FILE"], mimetype="application/octet-stream", conditional=True, etag="tag")


@app.get("/context")
def context():
    """What an earlier request left behind in Flask's g: nothing."""
    before = g.get("left", "nothing")
    g.left = request.args["leave"]
    return before
