"""Requests, well-formed and not, read by this parser and by two that others wrote: h11 and httptools (llhttp).

What is accepted must mean the same to all: method, target, fields, content. What one accepts and another refuses is
listed in DIFFERENCES, each with the sentence of the RFC that decides.
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

EXAMPLES = int(os.environ.get("CSERVE_EXAMPLES", "4000"))

# Who accepts what we refuse (by our word for the reason), and why that is right.
STRICTER = {
}

# Who refuses what we accept: a name, a condition on the request as we read it, and why that is right.
LAXER = {
}


# --- requests -------------------------------------------------------------------------------------

METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT", "get", "M-SEARCH", "PRI", "X", "A@B"]
TARGETS = ["/", "/a/b?c=d", "/%C3%A9%2F?%", "*", "http://a", "http://a:80/p?q", "https://[::1]/", "http://u@a/", "//x",
           "/#f", "a:80", "/\xe9", "/a b", "/{|}\"<>\\^`", "?q", "ftp://a/"]
VERSIONS = ["HTTP/1.1"] * 8 + ["HTTP/1.0"] * 3 + ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "HTTP/1"]
NAMES = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Cookie", "Accept", "X-A", "X_A", "Upgrade",
         "Te", "Trailer", "content-length", "TRANSFER-ENCODING", "Content-Type", "!#$%&'*+-.^_`|~09az", "Bad Name", "",
         "B:d", "\xe9"]
VALUES = ["a", "", "localhost:80", "[::1]", "a b", "5", "0", "05", "+5", "5, 5", "5 5", "0x5", "99999999999999999999",
          "chunked", "Chunked", "gzip, chunked", "chunked, chunked", "identity", "close", "keep-alive", "Close, x",
          "100-continue", "\tx\t", "\xe9\xff", "a\x00b", "a\x0bb", "a\x7fb", "a\rb", "a\nb", "\x0cx", "websocket", "h2c",
          "trailers", "\x80"]
BLANKS = [" "] * 8 + ["", "\t", "  ", " \t "]
ENDS = ["\r\n"] * 30 + ["\n", "\r", "\r\r\n", " \r\n", "\r\n "]

fields = st.tuples(st.sampled_from(NAMES), st.sampled_from([":"] * 20 + [" :", "\t:", "", "::"]), st.sampled_from(BLANKS),
                   st.sampled_from(VALUES), st.sampled_from(BLANKS), st.sampled_from(ENDS)).map("".join)
sound_fields = st.sampled_from(["Accept: */*\r\n", "X-A: b\r\n", "Cookie: a=b; c\r\n", "Connection: close\r\n",
                                "Connection: keep-alive\r\n", "User-Agent:x\r\n", "Empty:\r\n", "X-Latin: \xe9\r\n"])


@st.composite
def chunks(draw):
    parts = []
    for content in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(st.sampled_from(["%x", "%X", "0%x", "0000000000000000%x", "0x%x", "+%x", " %x", "%x ", "-%x"])) % len(content)
        extension = draw(st.sampled_from([""] * 8 + [";a", ";a=b", ';a="b\\"c"', "; a=b", " ;a", ";", ";=", ";a\x00"]))
        end = draw(st.sampled_from(["\r\n"] * 12 + ["", "\n", "\r", "x\r\n"]))
        parts.append((size + extension + draw(st.sampled_from(ENDS))).encode("latin-1") + content + end.encode())
    last = draw(st.sampled_from(["0\r\n"] * 8 + ["00\r\n", "0;a\r\n", "0\n", ""]))
    trailers = draw(st.lists(fields | sound_fields, max_size=1))
    return b"".join(parts) + (last + "".join(trailers) + draw(st.sampled_from(ENDS))).encode("latin-1")


@st.composite
def framed(draw):
    """A field that frames the content, and content."""
    kind = draw(st.sampled_from(["none", "length", "chunked", "chunked", "loose"]))
    if kind == "none":
        return "", b""
    if kind == "chunked":
        return "Transfer-Encoding: chunked\r\n", draw(chunks())
    content = draw(st.binary(max_size=20))
    if kind == "length":
        return f"Content-Length: {len(content)}\r\n", content
    return draw(fields), content


@st.composite
def requests(draw):
    line = " ".join((draw(st.sampled_from(["GET", "POST"]) | st.sampled_from(METHODS)),
                     draw(st.sampled_from(["/", "/p?q"]) | st.sampled_from(TARGETS)), draw(st.sampled_from(VERSIONS))))
    lines = draw(st.lists(sound_fields, max_size=3)) + draw(st.lists(fields, max_size=1))
    framing, content = draw(framed())
    lines += [framing]
    if draw(st.integers(0, 9)):
        lines += ["Host: a\r\n"]
    lines = draw(st.permutations(lines))
    head = (draw(st.sampled_from([""] * 8 + ["\r\n", "\n", "\r\n\r\n"])) + line + draw(st.sampled_from(ENDS)) + "".join(lines) +
            draw(st.sampled_from(ENDS)))
    return head.encode("latin-1") + content + draw(st.sampled_from([b""] * 4 + [b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"]))


@st.composite
def mutated(draw):
    """A request with up to three bytes changed, put in or left out."""
    data = bytearray(draw(requests()))
    for _ in range(draw(st.integers(0, 3))):
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
                return (head.method, head.target, [(name, value) for name, value in head.headers.raw_items()], content)
    except h11.RemoteProtocolError as error:
        raise Refused(str(error)) from None


class Message:
    """The first message that llhttp reads."""

    def __init__(self):
        self.target, self.fields, self.content, self.complete = b"", [], b"", False

    def on_url(self, part):
        if not self.complete:
            self.target += part

    def on_header(self, name, value):
        if not self.complete:
            self.fields.append((name, value))

    def on_headers_complete(self):
        if not self.complete:
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


seen = {}

def compare(request, data, name):
    """Whether this parser and that one agree, or differ in a way that is in the tables."""
    try:
        theirs = PEERS[name](data)
    except Refused as refusal:
        if "method" in request:
            k=("LAX", name, str(refusal)); seen.setdefault(k,[0,data])[0]+=1
        return
    if "error" in request:
        if theirs != MORE: k=("STRICT", name, request["error"]); seen.setdefault(k,[0,data])[0]+=1
        return
    if not request:
        if theirs != MORE: k=("WEMORE", name); seen.setdefault(k,[0,data])[0]+=1
        return
    if theirs == MORE:
        k=("THEYMORE", name); seen.setdefault(k,[0,data])[0]+=1
        return
    a=as_bytes(request)
    if a != theirs: k=("DIFF", name, tuple(x!=y for x,y in zip(a,theirs))); seen.setdefault(k,[0,data,a,theirs])[0]+=1


@given(data=mutated())
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_others_read_the_same(ours, data):
    request = ours.read(data)
    for name in PEERS:
        compare(request, data, name)
    seen.setdefault(("total", "accepted" if "method" in request else request.get("error", "more")),[0])[0] += 1

def test_print():
    for k,v in sorted(seen.items(), key=str): print(k, v)
