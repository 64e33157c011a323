"""environ: W1 to W15 of the checklist, for TCP over IPv4 and IPv6 and for unix sockets."""

import re

import pytest

from harness import chunked, start_host


@pytest.fixture(scope="module")
def distrustful(serve_module):
    """A server whose proxies are all elsewhere."""
    return start_host(serve_module, "--forwarded-allow-ips", "192.0.2.0/24")


def dump(wsgi, *arguments, **options):
    return wsgi.value("environ.dump", *arguments, **options)


def test_W1_environ_is_a_dict_of_str(wsgi):
    kind, keys, values = wsgi.value("environ.types", fields={"X-Some": "thing", "Cookie": "a=b"})
    assert (kind, keys, values) == ("dict", ["str"], ["str"])


def test_W1_environ_is_the_applications_to_change(host):
    with host.connect() as client:
        for _ in range(3):
            assert client.request(host.raw("environ.vandal")).text == "False"


def test_W1_environ_kept_by_the_application_stays_as_it_was(host):
    colours = ["red", "red", "blue"]
    with host.connect() as client:
        for number, colour in enumerate(colours):
            answer = client.request(
                host.raw("environ.keeper", target=f"/{number}", fields={"Colour": colour})
            )
    assert answer.literal() == [(f"/{number}", colour) for number, colour in enumerate(colours)]


def test_W2_header_bytes_are_latin1(wsgi):
    raw = bytes(range(0x80, 0x100)).decode("latin-1")
    environ = dump(wsgi, fields={"X-Bytes": raw, "X-Utf8": "é€".encode().decode("latin-1")})
    assert environ["HTTP_X_BYTES"] == raw
    assert environ["HTTP_X_UTF8"].encode("latin-1").decode() == "é€"
    assert wsgi.value("environ.highest", target="/%F0%9F%92%A9", fields={"X-Bytes": raw}) == 0xFF


def test_W3_required_keys(wsgi):
    environ = dump(wsgi, target="/")
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/"
    assert environ["QUERY_STRING"] == ""
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(wsgi.server.port)
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["HTTP_HOST"] == "localhost"


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "M-SEARCH", "X!#$%"]
)
def test_W3_method_as_sent(host, method):
    assert dump(host, method)["REQUEST_METHOD"] == method


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_W3_protocol_as_sent(wsgi, version):
    assert dump(wsgi, version=version)["SERVER_PROTOCOL"] == f"HTTP/{version}"


def test_W3_remote_address_and_port_are_the_clients(host):
    with host.connect() as client:
        environ = client.request(host.raw("environ.dump")).literal()
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", str(client.port))


def test_W3_ipv6(own_host):
    host = own_host("--bind", "[::1]:0")
    with host.connect() as client:
        environ = client.request(host.raw("environ.dump")).literal()
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("::1", str(client.port))
    assert environ["SERVER_NAME"] == "::1"
    assert environ["SERVER_PORT"] == str(host.server.port)


def test_W3_unix_socket(own_host, tmp_path):
    host = own_host("--bind", f"unix:{tmp_path}/socket")
    environ = dump(host)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("", "")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")
    assert environ["wsgi.url_scheme"] == "http"


def test_W3_unix_socket_passes_the_validator(own_host, tmp_path):
    host = own_host("--bind", f"unix:{tmp_path}/socket")
    host.validated = True
    assert dump(host)["PATH_INFO"] == "/"


def test_W3_each_address_of_several_names_itself(own_host):
    host = own_host("--bind", "127.0.0.1:0", "--bind", "[::1]:0")
    for index, name in enumerate(["127.0.0.1", "::1"]):
        environ = dump(host, index=index)
        assert environ["SERVER_NAME"] == name
        assert environ["SERVER_PORT"] == str(host.server.addresses[index][1])


def test_W3_a_wildcard_address_names_the_address_that_the_client_connected_to(own_host):
    host = own_host("--bind", "0.0.0.0:0")
    assert dump(host)["SERVER_NAME"] == "127.0.0.1"


@pytest.mark.parametrize(
    "target, path",
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/%C3%A9", "/\u00c3\u00a9"),
        ("/%c3%a9", "/\u00c3\u00a9"),
        ("/%2525", "/%25"),
        ("/a%2Fb", "/a/b"),
        ("//a//b/", "//a//b/"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/a+b", "/a+b"),
        ("/a%20b", "/a b"),
        ("/%", "/%"),
        ("/%4", "/%4"),
        ("/%zz%41", "/%zzA"),
        ("/%41%4", "/A%4"),
        ("/a;b=c", "/a;b=c"),
        ("/a%3Fb?c", "/a?b"),
        ("/%00%0A", "/\x00\n"),
        ('/[]{}|\\^`"<>', '/[]{}|\\^`"<>'),
        ("http://example.com/abs%20path?q", "/abs path"),
        ("http://example.com", "/"),
        ("http://example.com?q", "/"),
    ],
)
def test_W4_W5_path_info(host, target, path):
    environ = dump(host, target=target)
    assert environ["PATH_INFO"] == path
    assert environ["SCRIPT_NAME"] == ""


@pytest.mark.parametrize(
    "target, query",
    [
        ("/", ""),
        ("/?", ""),
        ("/?a=b&c=%C3%A9", "a=b&c=%C3%A9"),
        ("/??a", "?a"),
        ("/?a?b", "a?b"),
        ("/?a+b%20c%2525", "a+b%20c%2525"),
        ("/?%", "%"),
        ("/%3Fno", ""),
        ("http://example.com?q=1", "q=1"),
    ],
)
def test_W6_query_string_is_raw(host, target, query):
    assert dump(host, target=target)["QUERY_STRING"] == query


@pytest.mark.parametrize("target", ["/", "/%C3%A9//x?%20", "/a%2fb?", "http://example.com/x?y"])
def test_W7_target_as_received(wsgi, target):
    environ = dump(wsgi, target=target)
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == target


def test_W7_asterisk_form(host):
    environ = dump(host, "OPTIONS", target="*")
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == "*"
    assert environ["REQUEST_METHOD"] == "OPTIONS"
    assert environ["PATH_INFO"] in ("*", "")


def test_W8_content_fields_only_when_sent(wsgi):
    environ = dump(wsgi)
    assert not {"CONTENT_TYPE", "CONTENT_LENGTH"} & set(environ)


def test_W8_content_fields_without_prefix(wsgi):
    environ = dump(wsgi, "POST", fields={"Content-Type": 'text/x; a="b"'}, body=b"12345")
    assert environ["CONTENT_TYPE"] == 'text/x; a="b"'
    assert environ["CONTENT_LENGTH"] == "5"
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(environ)


def test_W8_zero_length_is_there(wsgi):
    assert dump(wsgi, "POST", fields={"Content-Length": "0"})["CONTENT_LENGTH"] == "0"


@pytest.mark.parametrize("chunks", [[], [b"x"], [b"one", b"two" * 1000, b"!"]])
def test_W8_chunked_content_has_a_length(wsgi, chunks):
    environ = dump(wsgi, "POST", fields={"Transfer-Encoding": "chunked"}, body=chunked(*chunks))
    assert environ["CONTENT_LENGTH"] == str(sum(map(len, chunks)))


def test_W9_repeated_fields_are_joined(wsgi):
    environ = dump(
        wsgi, fields=[("X-Same", "a"), ("Accept", "b"), ("x-same", "c, d"), ("ACCEPT", "e"), ("X-Same", "")]
    )
    assert re.split(r", ?", environ["HTTP_X_SAME"]) == ["a", "c", "d", ""]
    assert re.fullmatch(r"b, ?e", environ["HTTP_ACCEPT"])


def test_W9_cookies_are_joined_by_semicolon(wsgi):
    assert dump(wsgi, fields=[("Cookie", "a=1"), ("cookie", "b=2; c=3")])["HTTP_COOKIE"] == "a=1; b=2; c=3"


@pytest.mark.parametrize("name", ["X-Own", "Via"])
def test_W9_empty_fields_are_joined_too(wsgi, name):
    fields = [(name, ""), (name, ""), (name, "v")]
    key = "HTTP_" + name.upper().replace("-", "_")
    assert dump(wsgi, fields=fields)[key].replace(" ", "") == ",,v"


def test_W9_many_repeats_in_any_order(host):
    fields = [(f"X-{index % 7}", str(index)) for index in range(70)]
    environ = dump(host, fields=fields)
    for name in range(7):
        expected = [str(index) for index in range(70) if index % 7 == name]
        assert re.split(r", ?", environ[f"HTTP_X_{name}"]) == expected


@pytest.mark.parametrize(
    "fields",
    [
        [("X_Forwarded_For", "evil"), ("X-Forwarded-For", "good")],
        [("X-Forwarded-For", "good"), ("X_Forwarded-For", "evil")],
        [("X-Forwarded-For", "good"), ("x-forwarded_for", "evil"), ("X_FORWARDED_FOR", "evil")],
    ],
)
def test_W10_S5_underscores_never_shadow(host, fields):
    environ = dump(host, fields=fields)
    assert environ["HTTP_X_FORWARDED_FOR"] == "good"
    assert "evil" not in repr(environ)


@pytest.mark.parametrize("name", ["X_Alone", "_", "Content_Length", "Content_Type", "Cookie_"])
def test_W10_a_name_with_underscore_is_dropped(host, name):
    environ = dump(host, fields={name: "99"})
    assert "99" not in environ.values()


@pytest.mark.parametrize("name", ["Proxy", "proxy", "PROXY"])
def test_W11_S5_proxy_is_not_passed(host, name):
    assert "HTTP_PROXY" not in dump(host, fields={name: "http://evil/"})


def test_W12_wsgi_keys(wsgi):
    environ = dump(wsgi)
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False


def test_W12_errors_reach_the_log(wsgi):
    assert wsgi.value("environ.errors") is True
    for line in ("one by write: é€", "two by writelines", "three by writelines"):
        wsgi.server.wait_log(f"^{line}$")


def test_W12_print_to_errors(wsgi):
    assert wsgi.value("environ.errors_print") is True
    wsgi.server.wait_log("printed to errors")


def test_W12_errors_is_a_text_stream(host):
    assert host.value("environ.errors_bytes") == "TypeError"


@pytest.mark.parametrize(
    "fields",
    [
        {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"},
        {"Forwarded": "for=192.0.2.1;proto=https"},
        {
            "X-Forwarded-Ssl": "on",
            "X-Forwarded-Protocol": "ssl",
            "X-Real-IP": "192.0.2.1",
            "X-Url-Scheme": "https",
        },
    ],
)
def test_W13_S5_forwarded_fields_from_whom_nobody_trusts_change_nothing(distrustful, wsgi_over, fields):
    wsgi = wsgi_over(distrustful)
    environ = dump(wsgi, fields=fields)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(wsgi.server.port)
    assert environ["SERVER_NAME"] == "127.0.0.1"


@pytest.mark.parametrize(
    "method, fields, body",
    [("GET", {}, b""), ("POST", {}, b"body"), ("POST", {"Transfer-Encoding": "chunked"}, chunked(b"body"))],
    ids=["none", "length", "chunked"],
)
def test_W14_input_ends_by_itself(wsgi, method, fields, body):
    assert dump(wsgi, method, fields=fields, body=body)["wsgi.input_terminated"] is True
    sizes = wsgi.value("content.script", method, "/?read%201000;read%201000", fields, body)
    assert sizes == [b"body" if body else b"", b""]


def test_W15_file_wrapper_is_there(wsgi):
    assert "wsgi.file_wrapper" in dump(wsgi)


def test_W9_environ_holds_every_field_of_a_browser(wsgi):
    fields = {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "Accept": "text/html,*/*;q=0.8",
        "Accept-Language": "de,en;q=0.5",
        "Accept-Encoding": "gzip, deflate, br",
        "DNT": "1",
        "Connection": "keep-alive",
        "Upgrade-Insecure-Requests": "1",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "none",
        "Sec-Fetch-User": "?1",
        "Cache-Control": "max-age=0",
        "If-None-Match": 'W/"1"',
        "Referer": "http://localhost/",
        "Origin": "null",
        "X-CSRFToken": "t",
        "X-Requested-With": "XMLHttpRequest",
        "Authorization": "Basic eDp5",
        "X-My-Own": "1",
    }
    environ = dump(wsgi, fields=fields)
    for name, value in fields.items():
        assert environ["HTTP_" + name.upper().replace("-", "_")] == value


def test_S14_values_of_one_request_never_show_up_in_the_next(host):
    with host.connect() as client:
        long = {f"X-Long-{index}": f"secret-{index}" * 20 for index in range(40)}
        client.request(
            host.raw("environ.dump", "POST", "/secret?secret", {**long, "Cookie": "secret"}, b"secret")
        )
        answer = client.request(host.raw("environ.dump"))
    assert "secret" not in answer.text
