"""Requests, well-formed and not, read by this parser and by two others: h11 and llhttp (httptools).

What is accepted must mean the same to all: method, target, fields, content. What one accepts and another
refuses is listed in STRICTER and LAXER, each with the sentence of the RFC that decides.
"""

import json
import os
import struct
import subprocess
from pathlib import Path

import h11
import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import harness

pytestmark = pytest.mark.binary

EXAMPLES = int(os.environ.get("CSERVE_EXAMPLES", "1500"))
SETTINGS = {"deadline": None, "derandomize": True, "database": None,
            "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
CORPORA = harness.ROOT / "tests/fuzz/corpus"

HOST = ("RFC 9112, 3.2: A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 "
        "request message that lacks a Host header field and to any request message that contains more "
        "than one Host header field line or a Host header field with an invalid field value.")
VERSION = ("RFC 9110, 15.6.6: The 505 (HTTP Version Not Supported) status code indicates that the server "
           "does not support, or refuses to support, the major version of HTTP that was used in the "
           "request message.")
BOTH = ("RFC 9112, 6.1: A server MAY reject a request that contains both Content-Length and "
        "Transfer-Encoding or process such a request in accordance with the Transfer-Encoding alone.")

# What we refuse and another accepts: our word for it, who accepts it, and the sentence that decides.
STRICTER = {
    "ambiguous-length": (
        "h11", BOTH),
    "bad-chunk-extension": (
        "h11", 'RFC 9112, 7.1.1: chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )'),
    "bad-chunk-size": (  # with a blank behind it, or with more digits than 64 bits can need
        "h11 httptools", "RFC 9112, 7.1: chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF"),
    "bad-coding": (  # another one before; or an empty one (", chunked"), on which not all agree
        "httptools", "RFC 9112, 6.1: A server that receives a request message with a transfer coding it "
        "does not understand SHOULD respond with 501 (Not Implemented)."),
    "bad-expect": (
        "h11 httptools", "RFC 9110, 10.1.1: A server that receives an Expect field value containing a "
        "member other than 100-continue MAY respond with a 417 (Expectation Failed) status code to indicate "
        "that the unexpected expectation cannot be met."),
    "bad-field-value": (
        "h11", "RFC 9110, 5.5: Field values containing other CTL characters are also invalid; however, "
        "recipients MAY retain such characters for the sake of robustness when they appear within a safe "
        "context ..."),
    "bad-host": (
        "h11 httptools", HOST),
    "bad-length": (  # where there is a coding, h11 does not look at the length
        "h11", BOTH),
    "bad-line": (  # HTTP/0.9
        "httptools", "RFC 9112, 3: request-line = method SP request-target SP HTTP-version"),
    "bad-line-end": (
        "h11 httptools", "RFC 9112, 2.2: Although the line terminator for the start-line and fields is the "
        "sequence CRLF, a recipient MAY recognize a single LF as a line terminator and ignore any preceding "
        "CR."),
    "bad-target": (
        "h11 httptools", "RFC 9112, 3.2: Recipients of an invalid request-line SHOULD respond with either a "
        "400 (Bad Request) error or a 301 (Moved Permanently) redirect with the request-target properly "
        "encoded."),
    "bad-trailer": (
        "h11 httptools", "RFC 9110, 6.5.1: Many fields cannot be processed outside the header section "
        "because their evaluation is necessary prior to receiving the content, such as those that describe "
        "message framing, routing, authentication, request modifiers, response controls, or content format."),
    "bad-version": (
        "h11 httptools", VERSION),
    "coding-in-1.0": (
        "h11 httptools", "RFC 9112, 6.1: A server or client that receives an HTTP/1.0 message containing a "
        "Transfer-Encoding header field MUST treat the message as if the framing is faulty, even if a "
        "Content-Length is present, and close the connection after processing the message."),
    "connect": (
        "h11 httptools", "RFC 9110, 9.1: An origin server that receives a request method that is "
        "unrecognized or not implemented SHOULD respond with the 501 (Not Implemented) status code."),
    "folded-field": (
        "h11", "RFC 9112, 5.2: A server that receives an obs-fold in a request message that is not within a "
        "\"message/http\" container MUST either reject the message by sending a 400 (Bad Request), ... or "
        "replace each received obs-fold with one or more SP octets ..."),
    "http2-preface": (
        "h11", VERSION),
    "no-host": (  # h11 looks for it only in what calls itself HTTP/1.1
        "h11 httptools", HOST),
    "repeated-host": (
        "httptools", HOST),
    "repeated-length": (
        "h11", "RFC 9110, 8.6: ... a recipient of a Content-Length header field value consisting of the same "
        "decimal value repeated as a comma-separated list ... MAY either reject the message as invalid or "
        "replace that invalid field value with a single instance of the decimal value ..."),
}

# What we accept and another refuses (or waits for more of): who, with what words or of what methods besides
# the usual ones, and the sentence that decides.
USUAL_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"}
LAXER = [
    ("h11", "no request line received",
     "RFC 9112, 2.2: In the interest of robustness, a server that is expecting to receive and parse a "
     "request-line SHOULD ignore at least one empty line (CRLF) received prior to the request-line."),
    ("httptools", "Invalid HTTP version",
     "RFC 9110, 6.2: A recipient that receives a message with a major version number that it implements "
     "and a minor version number higher than what it implements SHOULD process the message as if it were "
     "in the highest minor version within that major version to which the recipient is conformant."),
    ("httptools", USUAL_METHODS,
     "RFC 9110, 9.1: method = token"),
]


# --- requests -------------------------------------------------------------------------------------

GOOD_LINES = ["GET / HTTP/1.1", "POST /p?q HTTP/1.1", "GET http://a:80/p?q HTTP/1.1", "OPTIONS * HTTP/1.1",
              "HEAD /%C3%A9%2F?% HTTP/1.1", "GET / HTTP/1.0", "M-SEARCH // HTTP/1.1",
              "PUT /{|}\"<>\\^` HTTP/1.2"]
METHODS = ["GET", "get", "CONNECT", "PRI", "X", "A@B", ""]
TARGETS = ["/", "*", "http://a", "https://[::1]/", "http://u@a/", "/#f", "a:80", "/\xe9", "/a b", "?q",
           "ftp://a/"]
VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "HTTP/1"]
GOOD_FIELDS = ["Accept: */*", "X-A: b", "Cookie: a=b; c", "Connection: close", "Connection: keep-alive",
               "User-Agent:x", "Empty:", "X-Latin: \xe9", "X_A: \t\"x\" ", "Upgrade: h2c",
               "Expect: 100-continue", "!#$%&'*+-.^_`|~09az: :"]
NAMES = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "content-length",
         "TRANSFER-ENCODING", "Bad Name", "", "B:d", "\xe9"]
VALUES = ["a", "", "localhost:80", "a b", "5", "0", "05", "+5", "5, 5", "5 5", "0x5", "99999999999999999999",
          "chunked", "Chunked", "gzip, chunked", "chunked, chunked", "identity", "Close, x", "a\x00b",
          "a\x0bb", "a\x7fb", "a\rb", "a\nb", "\x0cx", "\x80"]
COLONS = [": ", ":", ":\t ", " :", "\t:", "", "::"]
ENDS = ["\r\n", "\n", "\r", "\r\r\n", " \r\n", "\r\n ", ""]
SIZES = ["%x", "%X", "0%x", "0000000000000000%x", "0x%x", "+%x", " %x", "%x ", "-%x"]
EXTENSIONS = ["", ";a", ";a=b", ';a="b\\"c"', "; a=b", " ;a", ";", ";=", ";a\x00"]
LASTS = ["0", "00", "0;a", "", "-0"]
FRAMINGS = ["none", "length", "chunked", "odd"]


@st.composite
def requests(draw):
    """A request in which everything is sound, or one kind of thing is not."""
    flaw = draw(st.sampled_from(["", "", "line", "field", "end", "chunk", "framing"]))

    def pick(choices, kind):
        return draw(st.sampled_from(choices)) if flaw == kind else choices[0]

    def end():
        return pick(ENDS, "end")

    def chunk(content):
        line = (pick(SIZES, "chunk") % len(content) + pick(EXTENSIONS, "chunk") + end()).encode("latin-1")
        return line + content + pick(["\r\n", "\n", "", "x\r\n"], "chunk").encode()

    line = draw(st.sampled_from(GOOD_LINES))
    if flaw == "line":
        line = " ".join((pick(METHODS, flaw), pick(TARGETS, flaw), pick(VERSIONS, flaw)))
    fields = draw(st.lists(st.sampled_from(GOOD_FIELDS), max_size=3)) + ["Host: a"]
    if flaw in ("field", "framing"):
        at = draw(st.integers(0, len(fields)))
        odd = pick(NAMES, flaw) + (pick(COLONS, flaw) if flaw == "field" else ": ") + pick(VALUES, flaw)
        fields[at:at + draw(st.integers(0, 1))] = [odd]
    contents = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=2))
    framing = draw(st.sampled_from(FRAMINGS[:3]))
    content = b"".join(contents)
    if framing == "length":
        fields.append(f"Content-Length: {len(content)}")
    elif framing == "chunked":
        fields.insert(draw(st.integers(0, len(fields))), "Transfer-Encoding: chunked")
        trailers = [draw(st.sampled_from(GOOD_FIELDS))] if contents[1:] else []
        content = b"".join(map(chunk, contents)) + (pick(LASTS, "chunk") + end()).encode()
        content += ("".join(trailer + end() for trailer in trailers) + end()).encode("latin-1")
    lines = [text + end() for text in (line, *fields)]
    head = pick(["", "\r\n", "\n", "\r\n\r\n"], "end") + "".join(lines) + end()
    pipelined = draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"]))
    return head.encode("latin-1") + content + pipelined


@st.composite
def mutated(draw):
    """A request with up to two bytes changed, put in or left out."""
    data = bytearray(draw(requests()))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        byte = draw(st.sampled_from(b"\r\n \t:;,=\"\\\x00\x7f\xff0aA/?#") | st.integers(0, 255))
        data[at:at + draw(st.integers(0, 1))] = draw(st.sampled_from([b"", bytes([byte])]))
    return bytes(data)


# --- readers --------------------------------------------------------------------------------------

MORE = "more"  # neither accepted nor refused yet


class Refused(Exception):
    pass


class Ours:
    """tests/fuzz/parse_requests.c, which make check builds beside the binary."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, data):
        self.process.stdin.write(struct.pack("<I", len(data)) + data)
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(harness.DEADLINE) == 0


def read_h11(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    head, content = None, b""
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                return MORE
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                return head.method, head.target, list(head.headers.raw_items()), content
    except h11.RemoteProtocolError as error:
        raise Refused(str(error)) from None


class Message:
    """The first message that llhttp reads."""

    def __init__(self):
        self.method, self.target, self.fields, self.content, self.complete = None, b"", [], b"", False

    def on_url(self, part):
        if not self.complete:
            self.target += part

    def on_header(self, name, value):
        if self.method is None:  # or else it is a trailer
            # Blanks at the end are no part of a value (RFC 9112, 5.1), but llhttp leaves them there.
            self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self):
        if self.method is None:
            self.method = self.parser.get_method()

    def on_body(self, part):
        if not self.complete:
            self.content += part

    def on_message_complete(self):
        self.complete = True


def read_httptools(data):
    message = Message()
    message.parser = httptools.HttpRequestParser(message)
    try:
        message.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        if not message.complete:
            raise Refused(str(error)) from None
    if not message.complete:
        return MORE
    return message.method, message.target, message.fields, message.content


PEERS = {"h11": read_h11, "httptools": read_httptools}


@pytest.fixture(scope="module")
def ours(cserve):
    reader = Ours(Path(cserve).parent / "fuzz" / "parse_requests")
    yield reader
    reader.close()


def as_bytes(request):
    """What we read, in the form of the others."""
    def encode(text):
        return text.encode("latin-1")
    fields = [(encode(name), encode(value)) for name, value in request["fields"]]
    return encode(request["method"]), encode(request["target"]), fields, encode(request["content"])


def is_laxer(name, request, theirs):
    """Whether it is in the table that we accept what they do not."""
    for who, what, _ in LAXER:
        known = request["method"] not in what if isinstance(what, set) else what in str(theirs)
        if who == name and known:
            return True
    return False


def check(request, data, name):
    """Fail unless this parser and that one agree, or differ in a way that the tables know."""
    try:
        theirs = PEERS[name](data)
    except Refused as refusal:
        theirs = refusal
    accepted = not isinstance(theirs, Refused) and theirs != MORE
    if "error" in request:
        known = name in STRICTER.get(request["error"], ("", ""))[0].split()
        assert not accepted or known, f"{name} accepts {request['error']}: {data!r}"
    elif not request:
        assert not accepted, f"{name} is ready: {data!r}"
    elif not accepted:
        assert is_laxer(name, request, theirs), f"{name} says {theirs}: {data!r}"
    else:
        assert as_bytes(request) == theirs, f"{name} reads something else: {data!r}"


@given(data=mutated())
@settings(max_examples=EXAMPLES, **SETTINGS)
def test_others_read_the_same(ours, data):
    request = ours.read(data)
    for name in PEERS:
        check(request, data, name)


@pytest.mark.parametrize("corpus", ["head", "connection"])
def test_others_read_the_corpora_the_same(ours, corpus):
    """The inputs that fuzzing found worth keeping."""
    inputs = sorted((CORPORA / corpus).iterdir())
    assert len(inputs) > 100
    for path in inputs:
        data = path.read_bytes()
        request = ours.read(data)
        for name in PEERS:
            check(request, data, name)


APP = '''
import json

def app(environ, start_response):
    names = ("REQUEST_METHOD", "REQUEST_URI", "CONTENT_LENGTH")
    answer = {name: environ.get(name) for name in names}
    answer["fields"] = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    answer["content"] = environ["wsgi.input"].read().decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
'''
NOT_SHOWN = ("CONTENT_LENGTH", "CONTENT_TYPE", "TRANSFER_ENCODING", "PROXY")


@pytest.fixture(scope="module")
def echo(serve_module):
    return serve_module(APP)


def shown_fields(request):
    """The HTTP_ keys of environ for these fields."""
    shown = {}
    for name, value in request["fields"]:
        key = name.upper().replace("-", "_")
        if "_" in name or key in NOT_SHOWN:
            continue
        separator = "; " if key == "COOKIE" else ","
        shown[f"HTTP_{key}"] = shown[f"HTTP_{key}"] + separator + value if f"HTTP_{key}" in shown else value
    return shown


@given(data=mutated())
@settings(max_examples=EXAMPLES // 10, **SETTINGS)
def test_the_server_reads_the_same(ours, echo, data):
    """What the parser says is what a client and an application see."""
    request = ours.read(data)
    with echo.connect() as client:
        client.send(data)
        client.end()
        if not request:
            client.expect_end()
            return
        response = client.response(data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1"))
    if "error" in request:
        assert response.status == request["status"]
        return
    assert response.status == 200
    if request["method"] == "HEAD":
        return
    answer = json.loads(response.body)
    assert (answer["REQUEST_METHOD"], answer["REQUEST_URI"]) == (request["method"], request["target"])
    assert answer["content"] == request["content"]
    host = answer["fields"].pop("HTTP_HOST", None)
    expected = shown_fields(request)
    assert host == expected.pop("HTTP_HOST", None) or request["target"].startswith("http")
    assert answer["fields"] == expected
