"""What Django hands to its users of a request, told back. A whole project in one file."""

import hashlib
import json

from django.conf import settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of no use", MIDDLEWARE=[
    "django.middleware.common.CommonMiddleware"])

events = []  # in the order in which they happened
request_started.connect(lambda **_: events.append("started"), weak=False)
request_finished.connect(lambda **_: events.append("finished"), weak=False)


def upload(request):
    """How Django kept each file: in memory, or in a file of its own beyond 2.5 MB."""
    return JsonResponse({name: {
        "kind": type(file).__name__, "size": file.size, "name": file.name,
        "digest": hashlib.sha256(b"".join(file.chunks())).hexdigest(),
    } for name, file in request.FILES.items()})


def body(request):
    """The content read by Django's stream, piece by piece."""
    digest, size = hashlib.sha256(), 0
    while piece := request.read(65_537):
        digest.update(piece)
        size += len(piece)
    length = request.META.get("CONTENT_LENGTH")
    return JsonResponse({"size": size, "digest": digest.hexdigest(), "length": length})


def address(request, path):
    return JsonResponse({"path": request.path, "path_info": request.path_info, "argument": path,
                         "full": request.get_full_path(), "script": request.META["SCRIPT_NAME"],
                         "uri": request.build_absolute_uri(), "get": request.GET.dict()})


def stream(request):
    """One line at once, others when the test opens the gate; says when it is closed."""
    def lines(gate=request.headers["Gate"]):
        try:
            events.append("first")
            yield "first\n"
            with open(gate, "rb", buffering=0) as opened:
                opened.read(1)
            for _ in range(int(request.GET["times"])):
                yield "second\n"
        finally:
            events.append("closed")
    return StreamingHttpResponse(lines(), content_type="text/plain")


class Told:
    """A file whose close() is an event."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        self.file.close()
        events.append("file closed")


def file(request):
    return FileResponse(Told(open(__file__, "rb")), content_type="text/plain")


urlpatterns = [path("upload", upload), path("body", body), path("stream", stream), path("file", file),
               re_path("^address/(?P<path>.*)$", address)]
django = get_wsgi_application()


def application(environ, start_response):
    if environ["PATH_INFO"] != "/events":
        return django(environ, start_response)
    seen = json.dumps(events).encode()
    events.clear()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [seen]
