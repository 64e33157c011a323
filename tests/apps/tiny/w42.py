"""What WebOb, and with it Pyramid, hands to its users of a request, told back."""

import hashlib

from pyramid.config import Configurator
from pyramid.response import Response


def digest(content):
    return {"size": len(content), "digest": hashlib.sha256(content).hexdigest()}


def body_file(request):
    """request.body_file, read in odd pieces."""
    content = b"".join(iter(lambda: request.body_file.read(4_097), b""))
    return {**digest(content), "readable": request.is_body_readable, "length": request.content_length}


def raw(request):
    """request.body_file_raw is wsgi.input itself."""
    return digest(request.body_file_raw.read())


def seekable(request):
    """request.body_file_seekable, read twice."""
    file = request.body_file_seekable
    first = file.read()
    file.seek(0)
    return {**digest(first), "again": file.read() == first}


def body(request):
    """request.body, then a copy of the request."""
    content = request.body
    return {**digest(content), "copy": request.copy().body == content}


def readable(request):
    return request.is_body_readable


def form(request):
    return {name: len(value.file.read()) if hasattr(value, "file") else value
            for name, value in request.POST.items()}


def json(request):
    return request.json_body


def address(request):
    return {"path": request.path, "path_info": request.path_info, "script_name": request.script_name,
            "url": request.url, "path_url": request.path_url, "matched": request.matchdict["path"],
            "get": dict(request.GET), "client_addr": request.client_addr}


def gated(request):
    """One line at once, the next when the test opens the gate."""
    def lines(gate=request.headers["Gate"]):
        yield b"first\n"
        with open(gate, "rb", buffering=0) as opened:
            opened.read(1)
        yield b"second\n"
    return Response(app_iter=lines(), content_type="text/plain")


with Configurator() as config:
    for view in (body_file, raw, seekable, body, readable, form, json):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__, renderer="json")
    config.add_route("gated", "/gated")
    config.add_view(gated, route_name="gated")
    config.add_route("address", "/address/{path:.*}")
    config.add_view(address, route_name="address", renderer="json")
    app = config.make_wsgi_app()
