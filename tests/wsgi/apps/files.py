"""Applications that send files: the field `File` names one, the query string says how."""

import io
import os
import tempfile

from apps.common import TEXT, Counted, answer, closed


class Watched(io.FileIO):
    """A real file that counts the calls of its close()."""

    key = ""

    def close(self):
        if not self.closed:
            closed[self.key] += 1
        super().close()


def opened(environ):
    file = Watched(environ["HTTP_FILE"])
    file.key = environ["QUERY_STRING"]
    return file


def headers(environ):
    """Content-Length from the field `Length`, if it is there."""
    return [*TEXT, *([("Content-Length", environ["HTTP_LENGTH"])] if "HTTP_LENGTH" in environ else [])]


def whole(environ, start_response):
    """The file as it is, without a length from the application."""
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](opened(environ))


def blocks(environ, start_response):
    """With a block size."""
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](opened(environ), 1000)


def buffered(environ, start_response):
    """A buffered reader, as open(..., 'rb') gives it, behind the byte that `Offset` says."""
    file = open(environ["HTTP_FILE"], "rb")
    file.read(int(environ.get("HTTP_OFFSET", 0)))
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](file)


def sought(environ, start_response):
    """From the position that `Offset` says."""
    file = opened(environ)
    file.seek(int(environ["HTTP_OFFSET"]))
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](file)


class Decoding(io.FileIO):
    """A real file whose read() gives other bytes than it holds, as of an encrypted one."""

    def read(self, size=-1):
        return bytes(byte ^ 0x55 for byte in super().read(size))


def decoding(environ, start_response):
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](Decoding(environ["HTTP_FILE"]))


def in_memory(environ, start_response):
    """BytesIO has a fileno method that raises."""
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](io.BytesIO(b"from memory " * 1000), 100)


class Bare:
    """Only read(): no fileno, no close, no seek."""

    def __init__(self, data):
        self.stream = io.BytesIO(data)

    def read(self, size):
        return self.stream.read(size)


def bare(environ, start_response):
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](Bare(b"bare " * 5000), 100)


class Lying(Bare):
    """fileno() gives whatever number it was told."""

    def __init__(self, data, descriptor):
        super().__init__(data)
        self.descriptor = descriptor

    def fileno(self):
        return self.descriptor


def pipe(environ, start_response):
    """A pipe: a real descriptor, that can't be sought."""
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe " * 100)
    os.close(writing)
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](os.fdopen(reading, "rb"))


def closed_file(environ, start_response):
    """A file that is closed already."""
    file = opened(environ)
    file.close()
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](file)


def bad_descriptor(environ, start_response):
    """fileno() gives a number that is no open descriptor: read() still works."""
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](Lying(b"bad descriptor " * 100, 999999))


def text_file(environ, start_response):
    """Opened in text mode: read() gives str."""
    start_response("200 OK", headers(environ))
    return environ["wsgi.file_wrapper"](open(environ["HTTP_FILE"]))


def as_iterable(environ, start_response):
    """The wrapper is a plain iterable too, and its close() closes the file."""
    file = tempfile.TemporaryFile()
    file.write(b"0123456789" * 10)
    file.seek(0)
    wrapper = environ["wsgi.file_wrapper"](file, 30)
    items = list(wrapper)
    wrapper.close()
    return answer(start_response, (items, file.closed))


def inside(environ, start_response):
    """The wrapper inside another iterable: no longer the server's to see through."""
    start_response("200 OK", headers(environ))
    return Counted(environ, environ["wsgi.file_wrapper"](opened(environ), 700))


def after_write(environ, start_response):
    """write() first, then the file."""
    write = start_response("200 OK", headers(environ))
    write(b"written first,")
    return environ["wsgi.file_wrapper"](opened(environ))


def not_modified(environ, start_response):
    """A file, with a status that has no content."""
    start_response("304 Not Modified", [("ETag", '"x"')])
    return environ["wsgi.file_wrapper"](opened(environ))


def not_started(environ, start_response):
    """A file without start_response."""
    return environ["wsgi.file_wrapper"](opened(environ))
