"""One reading of every message, or none: F1 to F14, H1, H2 and H7 to H9 of the checklist.

The tables hold requests with what must become of each; every one that is refused is sent with another
request right behind it, which must never be served.
"""

import time
from email.utils import parsedate_to_datetime

import pytest

from harness import chunked, outcome

HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def field(line):
    """A request with this field line."""
    return HEAD + line + b"\r\n\r\n"


def line(text):
    """A request with this request line."""
    return text + b"\r\nHost: h\r\n\r\n"


def host(value, version=b"1.1"):
    return b"GET / HTTP/" + version + b"\r\nHost: " + value + b"\r\n\r\n"


def length(value):
    return POST + b"Content-Length: " + value + b"\r\n\r\n12345"


def coding(value):
    return POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n"


REFUSED = {
    # F1: names are tokens right before the colon; values hold no controls.
    "F1 space before the colon": (field(b"X-A : b"), 400, "bad-field-name"),
    "F1 tab before the colon": (field(b"X-A\t: b"), 400, "bad-field-name"),
    "F1 no colon": (field(b"X-A"), 400, "bad-field-name"),
    "F1 empty name": (field(b": b"), 400, "bad-field-name"),
    "F1 at in name": (field(b"X@A: b"), 400, "bad-field-name"),
    "F1 parenthesis in name": (field(b"X(A): b"), 400, "bad-field-name"),
    "F1 quote in name": (field(b'"X": b'), 400, "bad-field-name"),
    "F1 slash in name": (field(b"X/A: b"), 400, "bad-field-name"),
    "F1 brackets in name": (field(b"[X]: b"), 400, "bad-field-name"),
    "F1 NUL in name": (field(b"X\0A: b"), 400, "bad-field-name"),
    "F1 latin-1 in name": (field(b"X\xe9: b"), 400, "bad-field-name"),
    "F1 DEL in name": (field(b"X\x7f: b"), 400, "bad-field-name"),
    "F1 NUL in value": (field(b"X-A: b\0c"), 400, "bad-field-value"),
    "F1 NUL before value": (field(b"X-A:\0b"), 400, "bad-field-value"),
    "F1 VT in value": (field(b"X-A: b\x0bc"), 400, "bad-field-value"),
    "F1 FF behind value": (field(b"X-A: b\x0c"), 400, "bad-field-value"),
    "F1 ESC in value": (field(b"X-A: \x1b[31m"), 400, "bad-field-value"),
    "F1 DEL in value": (field(b"X-A: b\x7f"), 400, "bad-field-value"),
    "F1 SOH in value": (field(b"X-A: \x01"), 400, "bad-field-value"),
    # F2: CRLF, and nothing else, ends a line.
    "F2 LF behind the request line": (b"GET / HTTP/1.1\nHost: h\r\n\r\n", 400, "bad-line-end"),
    "F2 LF behind a field": (b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400, "bad-line-end"),
    "F2 LF only": (b"GET / HTTP/1.1\nHost: h\n\n", 400, "bad-line-end"),
    "F2 LF as the last line": (HEAD + b"\n", 400, "bad-line-end"),
    "F2 CR in the request line": (b"GET /\rX HTTP/1.1\r\nHost: h\r\n\r\n", 400, None),
    "F2 CR behind the version": (b"GET / HTTP/1.1\rX\r\nHost: h\r\n\r\n", 400, None),
    "F2 CR in a value": (field(b"X-A: b\rc"), 400, "bad-line-end"),
    "F2 CR CR LF": (field(b"X-A: b\r"), 400, "bad-line-end"),
    "F2 CR in a name": (field(b"X\rA: b"), 400, None),
    "F2 CR as the last line": (HEAD + b"\rX\n", 400, "bad-line-end"),
    "F2 LF first": (b"\n" + HEAD + b"\r\n", 400, None),
    "F2 fold by space": (field(b"X-A: b\r\n c"), 400, "folded-field"),
    "F2 fold by tab": (field(b"X-A: b\r\n\tc"), 400, "folded-field"),
    "F2 fold of nothing": (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, "folded-field"),
    "F2 fold of blanks": (field(b"X-A: b\r\n "), 400, "folded-field"),
    # F3: METHOD SP target SP version.
    "F3 no version": (line(b"GET /"), 400, "bad-line"),
    "F3 HTTP/0.9 without version": (b"GET /\r\n", 400, "bad-line"),
    "F3 only a method": (line(b"GET"), 400, "bad-line"),
    "F3 two spaces": (line(b"GET  / HTTP/1.1"), 400, "bad-line"),
    "F3 two spaces before the version": (line(b"GET /  HTTP/1.1"), 400, "bad-line"),
    "F3 leading space": (line(b" GET / HTTP/1.1"), 400, "bad-line"),
    "F3 trailing space": (line(b"GET / HTTP/1.1 "), 400, None),
    "F3 tab": (line(b"GET\t/\tHTTP/1.1"), 400, None),
    "F3 a fourth word": (line(b"GET / x HTTP/1.1"), 400, "bad-line"),
    "F3 bad method": (line(b"G@T / HTTP/1.1"), 400, "bad-method"),
    "F3 NUL in method": (line(b"G\0T / HTTP/1.1"), 400, "bad-method"),
    "F3 latin-1 in method": (line(b"G\xc9T / HTTP/1.1"), 400, "bad-method"),
    "F3 quotes": (line(b'"GET" / HTTP/1.1'), 400, "bad-method"),
    "F3 lower case": (line(b"GET / http/1.1"), 400, "bad-line"),
    "F3 another protocol": (line(b"GET / HTTPS/1.1"), 400, "bad-line"),
    "F3 two digits": (line(b"GET / HTTP/1.10"), 400, None),
    "F3 leading zero": (line(b"GET / HTTP/01.1"), 400, None),
    "F3 letters": (line(b"GET / HTTP/1.x"), 400, "bad-line"),
    "F3 no minor": (line(b"GET / HTTP/1"), 400, None),
    "F3 major 2": (line(b"GET / HTTP/2.0"), 505, "bad-version"),
    "F3 major 0": (line(b"GET / HTTP/0.9"), 505, "bad-version"),
    "F3 major 9": (line(b"GET / HTTP/9.9"), 505, "bad-version"),
    "F3 many empty lines": (b"\r\n" * 100 + HEAD + b"\r\n", 400, "bad-line"),
    "F3 CR LF CR": (b"\r\n\rX" + HEAD + b"\r\n", 400, "bad-line-end"),
    # F4: targets.
    "F4 fragment": (line(b"GET /#top HTTP/1.1"), 400, "bad-target"),
    "F4 latin-1": (line(b"GET /\xe9 HTTP/1.1"), 400, "bad-target"),
    "F4 UTF-8": (line("GET /é HTTP/1.1".encode()), 400, "bad-target"),
    "F4 NUL": (line(b"GET /\0 HTTP/1.1"), 400, "bad-target"),
    "F4 DEL": (line(b"GET /\x7f HTTP/1.1"), 400, "bad-target"),
    "F4 no slash": (line(b"GET index.html HTTP/1.1"), 400, "bad-target"),
    "F4 query only": (line(b"GET ?a=b HTTP/1.1"), 400, "bad-target"),
    "F4 asterisk for GET": (line(b"GET * HTTP/1.1"), 400, "bad-target"),
    "F4 two asterisks": (line(b"OPTIONS ** HTTP/1.1"), 400, "bad-target"),
    "F4 another scheme": (line(b"GET ftp://h/ HTTP/1.1"), 400, "bad-target"),
    "F4 no authority": (line(b"GET http:///path HTTP/1.1"), 400, "bad-target"),
    "F4 scheme only": (line(b"GET http:// HTTP/1.1"), 400, "bad-target"),
    "F4 userinfo": (line(b"GET http://user:pw@h/ HTTP/1.1"), 400, "bad-target"),
    "F4 bad authority": (line(b"GET http://h:port/ HTTP/1.1"), 400, "bad-target"),
    "F4 CONNECT": (line(b"CONNECT h:443 HTTP/1.1"), 501, "connect"),
    "F4 CONNECT with a path": (line(b"CONNECT / HTTP/1.1"), 501, "connect"),
    # F5: Host.
    "F5 none": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, "no-host"),
    "F5 none with absolute target": (b"GET http://h/ HTTP/1.1\r\n\r\n", 400, "no-host"),
    "F5 two": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "repeated-host"),
    "F5 two of the same": (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, "repeated-host"),
    "F5 two in 1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "repeated-host"),
    "F5 bad in 1.0": (host(b"a b", b"1.0"), 400, "bad-host"),
    "F5 space": (host(b"a b"), 400, "bad-host"),
    "F5 list": (host(b"a, b"), 400, "bad-host"),
    "F5 path": (host(b"a/b"), 400, "bad-host"),
    "F5 userinfo": (host(b"u@a"), 400, "bad-host"),
    "F5 query": (host(b"a?b"), 400, "bad-host"),
    "F5 port of letters": (host(b"a:b"), 400, "bad-host"),
    "F5 two ports": (host(b"a:1:2"), 400, "bad-host"),
    "F5 open bracket": (host(b"[::1"), 400, "bad-host"),
    "F5 behind the bracket": (host(b"[::1]x"), 400, "bad-host"),
    "F5 IPv6 without brackets": (host(b"::1"), 400, "bad-host"),
    "F5 latin-1": (host(b"\xe9"), 400, "bad-host"),
    "F5 quotes": (host(b'"a"'), 400, "bad-host"),
    "F5 backslash": (host(b"a\\b"), 400, "bad-host"),
    "F5 bad with absolute target": (b"GET http://h/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad-host"),
    # F6: Content-Length.
    "F6 plus": (length(b"+5"), 400, "bad-length"),
    "F6 minus": (length(b"-5"), 400, "bad-length"),
    "F6 empty": (length(b""), 400, "bad-length"),
    "F6 space": (length(b"5 5"), 400, "bad-length"),
    "F6 hexadecimal": (length(b"0x5"), 400, "bad-length"),
    "F6 letters": (length(b"5a"), 400, "bad-length"),
    "F6 fraction": (length(b"5.0"), 400, "bad-length"),
    "F6 underscore": (length(b"1_0"), 400, "bad-length"),
    "F6 superscript": (length(b"\xb2"), 400, "bad-length"),
    "F6 no-break space": (length(b"\xa05"), 400, "bad-length"),
    "F6 2^63": (length(b"9223372036854775808"), 400, "bad-length"),
    "F6 2^64 + 5": (length(b"18446744073709551621"), 400, "bad-length"),
    "F6 many digits": (length(b"1" * 100), 400, "bad-length"),
    "F6 list": (length(b"5, 6"), 400, "repeated-length"),
    "F6 list of the same": (length(b"5, 5"), 400, "repeated-length"),
    "F6 two": (length(b"5\r\nContent-Length: 6"), 400, "repeated-length"),
    "F6 two of the same": (length(b"5\r\ncontent-length: 5"), 400, "repeated-length"),
    # F7: Transfer-Encoding.
    "F7 gzip": (coding(b"gzip"), 501, "bad-coding"),
    "F7 gzip, chunked": (coding(b"gzip, chunked"), 501, "bad-coding"),
    "F7 identity": (coding(b"identity"), 501, "bad-coding"),
    "F7 chunked twice": (coding(b"chunked, chunked"), 501, "bad-coding"),
    "F7 two fields": (coding(b"chunked\r\nTransfer-Encoding: chunked"), 501, "bad-coding"),
    "F7 parameter": (coding(b"chunked;q=1"), 501, "bad-coding"),
    "F7 comma": (coding(b"chunked,"), 501, "bad-coding"),
    "F7 prefix": (coding(b"xchunked"), 501, "bad-coding"),
    "F7 suffix": (coding(b"chunkedx"), 501, "bad-coding"),
    "F7 quoted": (coding(b'"chunked"'), 501, "bad-coding"),
    "F7 empty": (coding(b""), 501, "bad-coding"),
    "F7 no-break space": (coding(b"\xa0chunked"), 501, "bad-coding"),
    "F7 vertical tab": (coding(b"\x0bchunked"), 400, "bad-field-value"),
    "F7 with a length": (coding(b"chunked\r\nContent-Length: 5"), 400, "ambiguous-length"),
    "F7 behind a length": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "ambiguous-length",
    ),
    "F7 gzip with a length": (coding(b"gzip\r\nContent-Length: 5"), None, None),
    "F7 in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "coding-in-1.0"),
    # F8: chunks.
    "F8 plus": (CHUNKED + b"+5\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 minus": (CHUNKED + b"-5\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 prefix": (CHUNKED + b"0x5\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 leading space": (CHUNKED + b" 5\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 trailing space": (CHUNKED + b"5 \r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 underscore": (CHUNKED + b"0_5\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 no hexadecimal": (CHUNKED + b"G\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 empty size": (CHUNKED + b"\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 17 digits": (CHUNKED + b"0" * 16 + b"5\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 2^64 - 1": (CHUNKED + b"f" * 16 + b"\r\n12345\r\n0\r\n\r\n", 413, "body-too-large"),
    "F8 2^64": (CHUNKED + b"1" + b"0" * 16 + b"\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 2^64 in two chunks": (
        CHUNKED + b"1\r\nx\r\n" + b"f" * 16 + b"\r\n12345\r\n0\r\n\r\n",
        413,
        "body-too-large",
    ),
    "F8 LF behind the size": (CHUNKED + b"5\n12345\r\n0\r\n\r\n", 400, "bad-chunk-size"),
    "F8 CR behind the size": (CHUNKED + b"5\rX12345\r\n0\r\n\r\n", 400, None),
    "F8 LF behind the data": (CHUNKED + b"5\r\n12345\n0\r\n\r\n", 400, "bad-chunk-end"),
    "F8 data longer than its size": (CHUNKED + b"4\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-end"),
    "F8 data shorter than its size": (CHUNKED + b"6\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-end"),
    "F8 LF in an extension": (CHUNKED + b"5;a\n12345\r\n0\r\n\r\n", 400, "bad-chunk-extension"),
    "F8 CR in an extension": (CHUNKED + b"5;a\rb\r\n12345\r\n0\r\n\r\n", 400, None),
    "F8 CR in a quoted extension": (
        CHUNKED + b'5;a="\r\n"\r\n12345\r\n0\r\n\r\n',
        400,
        "bad-chunk-extension",
    ),
    "F8 LF in a quoted extension": (CHUNKED + b'5;a="\n"\r\n12345\r\n0\r\n\r\n', 400, "bad-chunk-extension"),
    "F8 NUL in an extension": (CHUNKED + b"5;a\0\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-extension"),
    "F8 extension without a name": (CHUNKED + b"5;\r\n12345\r\n0\r\n\r\n", 400, "bad-chunk-extension"),
    "F8 extension not closed": (CHUNKED + b'5;a="b\r\n12345\r\n0\r\n\r\n', 400, "bad-chunk-extension"),
    # F9: trailers.
    "F9 Content-Length": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400, "bad-trailer"),
    "F9 Transfer-Encoding": (CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-trailer"),
    "F9 Host": (CHUNKED + b"0\r\nHost: h\r\n\r\n", 400, "bad-trailer"),
    "F9 no colon": (CHUNKED + b"0\r\nX\r\n\r\n", 400, "bad-trailer"),
    "F9 space before the colon": (CHUNKED + b"0\r\nX : y\r\n\r\n", 400, "bad-trailer"),
    "F9 fold": (CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n", 400, "bad-trailer"),
    "F9 LF": (CHUNKED + b"0\r\nX: y\n\r\n", 400, "bad-trailer"),
    "F9 NUL": (CHUNKED + b"0\r\nX: \0\r\n\r\n", 400, "bad-trailer"),
    "F9 LF at the end": (CHUNKED + b"0\r\n\n", 400, "bad-trailer"),
    "F9 CR at the end": (CHUNKED + b"0\r\n\rX", 400, "bad-trailer"),
    # F13: Expect.
    "F13 another expectation": (field(b"Expect: 200-ok"), 417, "bad-expect"),
    "F13 more than one": (field(b"Expect: 100-continue, x"), 417, "bad-expect"),
    # F14, H9: other protocols.
    "F14 HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http2-preface"),
    "H9 TLS ClientHello": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(160)), 400, "tls"),
    "H9 noise": (bytes(range(128, 256)), 400, "bad-method"),
    "H9 zeros": (bytes(100), 400, "bad-method"),
    "H9 SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", 400, None),
}

GET = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "h",
    "body": b"",
}

ACCEPTED = {
    "F1 every token byte in a name": (
        field(b"X!#$%&'*+-.^`|~09azAZ: v"),
        {"HTTP_X!#$%&'*+_.^`|~09AZAZ": "v"},
    ),
    "F1 no space behind the colon": (field(b"X-A:b"), {"HTTP_X_A": "b"}),
    "F1 blanks around the value": (field(b"X-A: \t b c\t \t"), {"HTTP_X_A": "b c"}),
    "F1 empty value": (field(b"X-A:"), {"HTTP_X_A": ""}),
    "F1 blank value": (field(b"X-A: \t "), {"HTTP_X_A": ""}),
    "F1 obs-text is not trimmed": (field(b"X-A: \xa0b\x85"), {"HTTP_X_A": "\xa0b\x85"}),
    "F1 colons in the value": (field(b"X-A: :b:c"), {"HTTP_X_A": ":b:c"}),
    "F1 tab in the value": (field(b"X-A: b\tc"), {"HTTP_X_A": "b\tc"}),
    "F3 empty lines before": (b"\r\n\r\n" + HEAD + b"\r\n", GET),
    "F3 a later minor version": (b"GET / HTTP/1.9\r\nHost: h\r\n\r\n", {"PATH_INFO": "/"}),
    "F3 HTTP/1.0 without Host": (
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        {"SERVER_PROTOCOL": "HTTP/1.0"},
    ),
    "F3 a method of one's own": (line(b"get!x / HTTP/1.1"), {"REQUEST_METHOD": "get!x"}),
    "F4 absolute": (line(b"GET http://h/p?q HTTP/1.1"), {"PATH_INFO": "/p", "QUERY_STRING": "q"}),
    "F4 absolute, https, any case": (line(b"GET HTTPS://h:8/p HTTP/1.1"), {"PATH_INFO": "/p"}),
    "F4 absolute without path": (line(b"GET http://h HTTP/1.1"), {"PATH_INFO": "/"}),
    "F4 asterisk": (line(b"OPTIONS * HTTP/1.1"), {"REQUEST_METHOD": "OPTIONS", "REQUEST_URI": "*"}),
    "F4 percent signs": (line(b"GET /%%4%zz%41 HTTP/1.1"), {"PATH_INFO": "/%%4%zzA"}),
    "F4 other visible bytes": (line(b'GET /"<>\\^`{|}[] HTTP/1.1'), {"PATH_INFO": '/"<>\\^`{|}[]'}),
    "F4 two slashes are no authority": (
        line(b"GET //evil/x HTTP/1.1"),
        {"PATH_INFO": "//evil/x", "HTTP_HOST": "h"},
    ),
    "F4 URL in the query": (line(b"GET /?http://a/?b HTTP/1.1"), {"QUERY_STRING": "http://a/?b"}),
    "F5 the target's authority replaces Host": (
        line(b"GET http://other:81/p HTTP/1.1"),
        {"HTTP_HOST": "other:81"},
    ),
    "F5 port": (host(b"a.example:8080"), {"HTTP_HOST": "a.example:8080"}),
    "F5 empty": (host(b""), {"HTTP_HOST": ""}),
    "F5 IPv6": (host(b"[::1]:80"), {"HTTP_HOST": "[::1]:80"}),
    "F5 underscore": (host(b"my_app"), {"HTTP_HOST": "my_app"}),
    "F6 blanks around": (length(b" \t5\t "), {"body": b"12345", "CONTENT_LENGTH": "5"}),
    "F6 on GET": (HEAD + b"Content-Length: 5\r\n\r\n12345", {"body": b"12345", "REQUEST_METHOD": "GET"}),
    "F6 zero": (POST + b"Content-Length: 0\r\n\r\n", {"body": b""}),
    "F7 any case": (POST + b"transfer-encoding: ChUnKeD\r\n\r\n" + chunked(b"12345"), {"body": b"12345"}),
    "F7 blanks around": (POST + b"Transfer-Encoding: \tchunked \r\n\r\n" + chunked(b"1"), {"body": b"1"}),
    "F7 on GET": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"1"), {"body": b"1"}),
    "F8 nothing": (CHUNKED + b"0\r\n\r\n", {"body": b""}),
    "F8 sixteen digits": (
        CHUNKED + b"0" * 15 + b"5\r\n12345\r\n" + b"0" * 16 + b"\r\n\r\n",
        {"body": b"12345"},
    ),
    "F8 both cases": (
        CHUNKED + b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        {"body": b"0123456789" * 2},
    ),
    "F8 CRLF in the data": (CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", {"body": b"\r\n\r\n"}),
    "F8 extensions": (CHUNKED + b'5;a;b=c;d="e;\\"f";g\r\n12345\r\n0;last\r\n\r\n', {"body": b"12345"}),
    "F9 trailers": (
        CHUNKED + b"1\r\nx\r\n0\r\nX-Sum: 1\r\nX-Other:\r\n\r\n",
        {"body": b"x", "HTTP_X_SUM": None},
    ),
    "F14 Upgrade is ignored": (
        field(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
        GET,
    ),
    "F14 WebSocket is ignored": (
        field(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        GET,
    ),
}


def check_refusal(client, status):
    """One response to an error, by the rules of H3; then the end."""
    response = client.response()
    assert status is None or response.status == status, response
    assert 400 <= response.status < 600
    assert "close" in response.connection()
    assert response["Content-Length"] == str(len(response.body))
    assert response["Content-Type"].startswith("text/plain")
    assert response.reason and str(response.status) in response.text
    client.expect_end()
    return response


@pytest.mark.parametrize("data, status, reason", REFUSED.values(), ids=REFUSED)
def test_F10_refused_and_nothing_behind_it_is_served(echo, data, status, reason):
    before = echo.count_lines()
    with echo.connect() as client:
        client.send(data + SMUGGLED)
        check_refusal(client, status)
    lines = echo.lines(1, before)
    assert len(lines) == 1
    assert reason is None or outcome(lines[0]) == reason
    assert echo.calls() == []


@pytest.mark.parametrize("data, expected", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted_and_read_in_one_way(echo, data, expected):
    with echo.connect() as client:
        told = client.request(data).literal()
        assert {key: told.get(key) for key in expected} == expected
        client.send(SMUGGLED)  # in sync: this time it is no smuggled one
        assert client.response().literal()["PATH_INFO"] == "/smuggled"


# H8: a message means the same however its bytes arrive.

SPLIT = [
    "F1 blanks around the value",
    "F3 empty lines before",
    "F4 absolute",
    "F6 blanks around",
    "F7 any case",
    "F8 extensions",
    "F9 trailers",
    "F8 CRLF in the data",
]


@pytest.mark.parametrize("name", SPLIT)
def test_H8_accepted_at_every_split(echo, name):
    data, expected = ACCEPTED[name]
    for at in range(1, len(data)):
        with echo.connect() as client:
            client.send_each([data[:at], data[at:]])
            told = client.response().literal()
            assert {key: told.get(key) for key in expected} == expected, at


@pytest.mark.parametrize("name", [*SPLIT, "F8 sixteen digits"])
def test_H8_accepted_byte_by_byte(echo, name):
    data, expected = ACCEPTED[name]
    with echo.connect() as client:
        for _ in range(2):
            client.send_each(bytes([byte]) for byte in data)
            told = client.response().literal()
            assert {key: told.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    "name",
    [
        "F1 space before the colon",
        "F2 LF as the last line",
        "F2 fold by tab",
        "F3 no version",
        "F5 two",
        "F6 two of the same",
        "F7 with a length",
        "F8 LF in an extension",
        "F9 Host",
    ],
)
def test_H8_refused_byte_by_byte(echo, name):
    data, status, reason = REFUSED[name]
    before = echo.count_lines()
    with echo.connect() as client:
        client.send_each(bytes([byte]) for byte in data)
        check_refusal(client, status)
    assert outcome(echo.lines(1, before)[0]) == reason


# F9: what is not complete is not served.


@pytest.mark.parametrize(
    "data",
    [
        HEAD,
        HEAD + b"\r",
        b"GET / HTTP/1.1",
        b"G",
        b"\r\n",
        CHUNKED + b"5\r\n12345\r\n0\r\n",
        CHUNKED + b"0\r\n\r",
        CHUNKED + b"0\r\nX: y\r\n",
        POST + b"Content-Length: 5\r\n\r\n1234",
    ],
)
def test_F9_nothing_incomplete_is_served(echo, data):
    with echo.connect() as client:
        client.send(data)
        assert client.is_silent()
        client.end()
        rest = b"".join(iter(client.receive, b""))
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    assert echo.calls() == []


# H1, H2: every response.


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_H1_H2_date_server_and_version(echo, version):
    response = echo.server.get("/", version=version)  # the client checks version and form of the date
    assert response["Server"] == "cserve"
    age = time.time() - parsedate_to_datetime(response["Date"]).timestamp()
    assert -1 <= age < 3


def test_H1_the_date_moves_on(echo):
    first = echo.server.get("/")["Date"]
    with echo.connect() as client:
        end = time.monotonic() + 5
        while (response := client.request(HEAD + b"\r\n"))["Date"] == first:
            assert time.monotonic() < end
    later = parsedate_to_datetime(response["Date"]) - parsedate_to_datetime(first)
    assert 1 <= later.total_seconds() <= 2


@pytest.mark.parametrize("value, expected", [("", []), ("my/1.0", ["my/1.0"])])
def test_H1_server_field_by_option(own_echo, value, expected):
    echo = own_echo("--server-header", value)
    assert echo.server.get("/").all("Server") == expected
    with echo.connect() as client:
        assert client.request(line(b"GET"), "GET").all("Server") == expected


def test_H3_an_error_for_head_has_no_content(echo):
    with echo.connect() as client:
        response = client.request(b"HEAD / HTTP/1.1\r\n\r\n")
        assert response.status == 400
        assert int(response["Content-Length"]) > 0
        client.expect_end()


def test_H3_the_answer_teaches_what_to_send(echo):
    """For those who type requests by hand: the RFC wants a Host, and the answer without one says so."""
    with echo.connect() as client:
        response = client.request(b"GET /hello HTTP/1.1\r\n\r\n")
    assert "Host: localhost" in response.text


def test_F10_what_the_client_sent_is_never_in_the_answer(echo):
    with echo.connect() as client:
        response = client.request(b"GET /<script>alert(1)</script># HTTP/1.1\r\nHost: <b>\r\n\r\n")
        assert response.status == 400
        assert "<script>" not in repr(response) and "<b>" not in repr(response)


def test_S2_a_megabyte_of_anything_costs_little(own_echo):
    """Whatever a client sends a lot of, the time is linear: others are served promptly."""
    echo = own_echo("--limit-request-body", "100000000")
    for unit in (b" ", b":", b";", b"\r\n", b"a", b"\t", b",", b"X: y\r\n", b"0", b"\0"):
        with echo.connect() as client:
            start = time.monotonic()
            try:
                client.send(HEAD + b"X-A: b" + unit * (1_000_000 // len(unit)))
                client.response()
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert time.monotonic() - start < 2, unit


def test_S15_header_names_that_collide_cost_no_more(echo):
    """Names of one length and the same first and last letters, as a weak hash would mix up."""
    fields = b"".join(
        b"X-%s-X: %d\r\n" % (bytes([97 + number // 26 % 26, 97 + number % 26]), number)
        for number in range(90)
    )
    told = echo.server.get("/").literal()
    with echo.connect() as client:
        for _ in range(50):
            told = client.request(HEAD + fields + b"\r\n").literal()
    assert told["HTTP_X_AA_X"] == "0" and told["HTTP_X_DL_X"] == "89"
