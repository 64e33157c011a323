"""Applications that look for the seams of the gateway: what is lent, shared, seen through or held back."""

import contextvars
import gzip
import io
import tempfile
import threading

from apps.common import TEXT, answer

DATA = b"0123456789" * 30_000
variable = contextvars.ContextVar("variable", default="nobody")


def send(environ, start_response, file):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](file)


def zipped():
    file = tempfile.TemporaryFile()
    with gzip.GzipFile(fileobj=file, mode="wb") as target:
        target.write(DATA)
    file.seek(0)
    return gzip.GzipFile(fileobj=file)


def gzip_file(environ, start_response):
    """Its fileno() is that of the compressed bytes."""
    return send(environ, start_response, zipped())


def buffered_gzip(environ, start_response):
    """The class that open() uses, but not above a plain file."""
    return send(environ, start_response, io.BufferedReader(zipped()))


class Shouting(io.FileIO):
    """A real file, of which read() gives something else than it holds."""

    def read(self, size=-1):
        return super().read(size).upper()


def overridden(environ, start_response):
    return send(environ, start_response, Shouting(environ["HTTP_FILE"]))


def replaced(environ, start_response):
    """As `overridden`, in the object rather than in the class."""
    file = io.FileIO(environ["HTTP_FILE"])
    original = file.read
    file.read = lambda size: original(size).upper()
    return send(environ, start_response, file)


def unflushed(environ, start_response):
    """What was written is still in the buffer of the file object."""
    file = tempfile.TemporaryFile()
    file.write(b"on disk ")
    file.flush()
    file.write(b"and in memory")
    file.seek(3)
    file.seek(0, io.SEEK_END)
    file.write(b"!")
    position = file.tell()
    file.seek(0)
    assert position == 22
    return send(environ, start_response, file)


class Proxy:
    """Passes everything on to a file, as Django's File does."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)


def proxied(environ, start_response):
    return send(environ, start_response, Proxy(open(environ["HTTP_FILE"], "rb")))


class Unsizeable:
    """len() raises what the query string names."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        raise self.error

    def __iter__(self):
        return iter([b"of unknown ", b"length"])


def unsizeable(environ, start_response):
    start_response("200 OK", TEXT)
    return Unsizeable({"TypeError": TypeError, "ValueError": ValueError}[environ["QUERY_STRING"]])


def unfinished_line(environ, start_response):
    """A line for wsgi.errors that is not ended."""
    environ["wsgi.errors"].write("first half, ")
    environ["wsgi.errors"].write("second half")
    start_response("200 OK", TEXT)
    return [b"ok"]


def flushed_line(environ, start_response):
    """As `unfinished_line`, but flushed; and then it fails."""
    environ["wsgi.errors"].write("flushed half")
    environ["wsgi.errors"].flush()
    raise ValueError("behind half a line")


def odd_text(environ, start_response):
    """Text that UTF-8 cannot hold, and more than is held back for the end of a line."""
    environ["wsgi.errors"].write("lone \udcff surrogate\n" + "x" * 20_000 + " long")
    environ["wsgi.errors"].write(" end\n")
    start_response("200 OK", TEXT)
    return [b"ok"]


def forging(environ, start_response):
    """An exception with a message that a client made up, to look like a line of the log, in red."""
    raise ValueError("\n2030-01-01 00:00:00 +0000 [1] CRITICAL forged \x1b[31m\x9b31m \r\x00 end")


def in_thread(function, *arguments):
    """What the function returned or raised, in a thread of its own."""
    results = []

    def run():
        try:
            results.append(repr(function(*arguments)))
        except Exception as error:
            results.append(type(error).__name__)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


def threaded(environ, start_response):
    """Another thread may begin the response while the application waits for it, but not send content."""
    writes = []
    started = in_thread(lambda: writes.append(start_response("200 OK", TEXT)))
    return [repr((started, in_thread(writes[0], b"never seen"))).encode()]


reads = []


def leave_reading(environ, start_response):
    """Returns while another thread still reads the content, again and again, until that raises."""
    stream, begun = environ["wsgi.input"], threading.Event()

    def run():
        wrong = 0
        try:
            while data := stream.read(200_000):
                begun.set()
                wrong += len(data) - data.count(b"x")
            reads.append(("end", wrong))
        except ValueError:
            reads.append(("severed", wrong))
        begun.set()
    threading.Thread(target=run).start()
    begun.wait()
    return answer(start_response, True)


def report_reads(environ, start_response):
    return answer(start_response, reads)


def coloured(environ, start_response):
    """A long result, each item of which says what the context variable holds when it is made."""
    variable.set(environ["QUERY_STRING"])
    start_response("200 OK", TEXT)
    for _ in range(400):
        yield variable.get().encode() * 10_000


shared = []


def share(environ, start_response):
    """A list that is still the application's when the server has it."""
    shared[:] = [b"x" * 1_000_000] * 20
    start_response("200 OK", TEXT)
    return shared


def spoil(environ, start_response):
    """Changes that list: to the items that the query string names."""
    shared[:] = {"nothing": [], "text": ["text"] * 20}[environ["QUERY_STRING"]]
    return answer(start_response, True)
