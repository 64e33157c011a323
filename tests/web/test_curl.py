"""Clients that others wrote: curl, telnet, wrk and h2load against a running server."""

import ast
import hashlib
import re
import subprocess

import pytest

import harness


def run(*command, data=b"", check=True):
    """The output of a command."""
    done = subprocess.run([str(part) for part in command], input=data, capture_output=True, timeout=60)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr.decode()}"
    return done.stdout.decode()


@pytest.fixture
def hello(serve):
    """The yardstick application."""
    return serve(harness.ROOT / "apps" / "hello.py")


def test_curl_gets_hello(hello):
    assert run("curl", "-sS", "--fail", hello.url + "hello") == "Hello, World!\n"


@pytest.mark.parametrize("option", ["--http1.0", "--http1.1", "--http2"])
def test_curl_in_each_version(hello, option):
    """With --http2 curl asks for an upgrade, which is ignored."""
    out = run("curl", "-sS", option, "-w", "%{http_version} %{response_code}", hello.url)
    assert out == "Hello, World!\n1.1 200"


def test_curl_head(hello):
    out = run("curl", "-sS", "--head", hello.url)
    assert out.startswith("HTTP/1.1 200 OK\r\n") and "Content-Length: 14\r\n" in out


def test_curl_uses_one_connection_for_many_requests(hello):
    out = run("curl", "-sS", "-w", "%{num_connects}\n", *[hello.url] * 5)
    assert out == "Hello, World!\n1\n" + "Hello, World!\n0\n" * 4


def test_curl_uploads(echo, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(bytes(range(256)) * 8192)
    for options in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], ["-X", "PUT"]):
        out = run("curl", "-sS", "--fail", "--data-binary", f"@{path}", *options, echo.server.url)
        assert (
            hashlib.sha256(ast.literal_eval(out)["body"]).digest()
            == hashlib.sha256(path.read_bytes()).digest()
        )


def test_curl_posts_a_form(echo):
    told = ast.literal_eval(
        run(
            "curl",
            "-sS",
            "--fail",
            "-F",
            "field=value",
            "-F",
            "file=@-;filename=name",
            echo.server.url,
            data=b"content",
        )
    )
    assert b'name="field"' in told["body"] and b"content" in told["body"]
    assert told["CONTENT_TYPE"].startswith("multipart/form-data; boundary=")


def test_curl_over_a_unix_socket(own_echo, tmp_path):
    own_echo("--bind", f"unix:{tmp_path}/socket")
    out = run("curl", "-sS", "--fail", "--unix-socket", tmp_path / "socket", "http://localhost/over/unix?q")
    assert ast.literal_eval(out)["REQUEST_URI"] == "/over/unix?q"


def test_curl_over_ipv6(own_echo):
    echo = own_echo("--bind", "[::1]:0")
    out = run("curl", "-sS", "--fail", "-g", f"http://[::1]:{echo.server.port}/")
    assert ast.literal_eval(out)["HTTP_HOST"] == f"[::1]:{echo.server.port}"


def test_curl_says_what_is_wrong_with_https(hello):
    """curl speaks TLS to the plain port: refused, without noise."""
    done = subprocess.run(
        ["curl", "-sS", "-k", hello.url.replace("http:", "https:")], capture_output=True, timeout=60
    )
    assert done.returncode == 35
    assert run("curl", "-sS", hello.url) == "Hello, World!\n"


def test_curl_with_prior_knowledge_of_http2(hello):
    assert run("curl", "-sS", "--http2-prior-knowledge", hello.url, check=False) == ""
    assert run("curl", "-sS", hello.url) == "Hello, World!\n"


def test_telnet(hello):
    """The session of the README, typed into a real telnet."""
    telnet = subprocess.Popen(
        ["telnet", "127.0.0.1", str(hello.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    output = harness.Output(telnet.stdout)
    try:
        assert output.wait("Escape character")
        telnet.stdin.write(b"GET /hello HTTP/1.1\nHost: localhost\nConnection: close\n\n")
        telnet.stdin.flush()
        assert output.wait(r"HTTP/1\.1 200 OK\r?\n.*\n\r?\nHello, World!\n"), output.text()
    finally:
        telnet.stdin.close()
        telnet.kill()
        telnet.wait()
        output.join()


def test_wrk_smoke(hello):
    out = run("wrk", "-t1", "-c32", "-d1s", hello.url)
    assert int(re.search(r"(\d+) requests in", out)[1]) > 100, out
    assert "Socket errors" not in out and "Non-2xx" not in out, out


@pytest.mark.parametrize("options", [[], ["--header", "Connection: close"]], ids=["keep-alive", "close"])
def test_h2load_smoke(hello, options):
    out = run("h2load", "--h1", "-n", "2000", "-c", "20", *options, hello.url)
    assert re.search(
        r"requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout", out
    ), out
    assert re.search(r"status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx", out), out


def test_h2load_pipelined(hello):
    out = run("h2load", "--h1", "-n", "5000", "-c", "10", "-m", "16", hello.url)
    assert "5000 succeeded, 0 failed, 0 errored, 0 timeout" in out, out
    assert "status codes: 5000 2xx, 0 3xx" in out, out
