"""Files put and fetched, as bare WSGI: request bodies are read in blocks, files are sent by the server.

    cserve apps/upload.py
    curl -T README.md http://127.0.0.1:8888/            answers with the file's size and SHA-256
    curl -O http://127.0.0.1:8888/README.md
    curl -X DELETE http://127.0.0.1:8888/README.md

A browser at http://127.0.0.1:8888/ gets a list and a button. The files lie in ~/.local/share/uploads, or in
the directory that UPLOAD_DIR names.
"""
import hashlib
import html
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import quote
from wsgiref.util import FileWrapper

FILES = Path(os.environ.get("UPLOAD_DIR", "~/.local/share/uploads")).expanduser()
FILES.mkdir(mode=0o700, parents=True, exist_ok=True)
NAME = re.compile(r"/([\w-][\w. -]*)")  # one name, without a directory, not hidden
BLOCK = 256 * 1024
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Files</title>
<h1>Files</h1>
<ul>{items}</ul>
<input type="file" onchange="send(this.files[0])">
<script>
  const send = file => fetch(encodeURIComponent(file.name), {{method: "PUT", body: file}})
    .then(() => location.reload());
</script>
"""


def app(environ, start_response):
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    method = METHODS.get(environ["REQUEST_METHOD"])
    if method is None:
        allowed = ", ".join(METHODS)
        return answer(start_response, "405 Method Not Allowed", f"Try {allowed}.\n", Allow=allowed)
    if path == "/" and method is get:
        return listing(start_response)
    name = NAME.fullmatch(path)
    if name is None:
        return answer(start_response, "404 Not Found", "A name is letters, digits, '.', '-', '_' and ' '.\n")
    return method(FILES / name[1], environ, start_response)


def listing(start_response):
    names = sorted(entry.name for entry in FILES.iterdir() if not entry.name.startswith("."))
    items = "".join(f'<li><a href="{quote(name)}">{html.escape(name)}</a>' for name in names)
    return answer(start_response, "200 OK", PAGE.format(items=items), "text/html; charset=utf-8")


def put(path, environ, start_response):
    size = left = int(environ.get("CONTENT_LENGTH") or 0)
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=FILES, prefix=".", delete=False) as file:
        while block := environ["wsgi.input"].read(min(left, BLOCK)):
            digest.update(block)
            file.write(block)
            left -= len(block)
    if left > 0:
        os.unlink(file.name)
        return answer(start_response, "400 Bad Request", "The file ended early.\n")
    os.replace(file.name, path)  # whole or not at all, whoever reads it meanwhile
    return answer(start_response, "201 Created", f"{size} bytes, SHA-256 {digest.hexdigest()}\n")


def get(path, environ, start_response):
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return answer(start_response, "404 Not Found", "There is no such file.\n")
    start_response("200 OK", [("Content-Type", "application/octet-stream"),
                              ("Content-Length", str(os.fstat(file.fileno()).st_size))])
    return environ.get("wsgi.file_wrapper", FileWrapper)(file, BLOCK)


def delete(path, environ, start_response):
    path.unlink(missing_ok=True)
    start_response("204 No Content", [])
    return []


def answer(start_response, status, text, content_type="text/plain", **headers):
    start_response(status, [("Content-Type", content_type), *headers.items()])
    return [text.encode()]


METHODS = {"GET": get, "HEAD": get, "PUT": put, "DELETE": delete}
