"""apps/streaming.py: what is yielded leaves at once."""

import pytest

import harness
from places import APPS


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(APPS / "streaming.py")


def test_count_line_by_line(server):
    with server.connect() as client:
        client.send(harness.make_request(target="/count"))
        assert client.response_head()["Transfer-Encoding"] == "chunked"
        assert client.chunk() == b"1\n"
        assert client.is_silent(0.2)
        assert client.chunk() == b"2\n"


def test_server_sent_events(server):
    with server.connect() as client:
        client.send(harness.make_request(target="/events"))
        assert client.response_head()["Content-Type"] == "text/event-stream"
        assert [client.chunk(), client.chunk()] == [b"data: 1\n\n", b"data: 2\n\n"]


def test_written(server):
    with server.connect() as client:
        response = client.request(harness.make_request(target="/written"))
        assert response.chunks == [b"Hello, ", b"World!\n"]


def test_squares(server, session):
    lines = session.get(server.url + "squares").text.splitlines()
    assert lines == [str(number * number) for number in range(100_000)]


def test_pages(server, session):
    assert "EventSource" in session.get(server.url).text
    assert session.get(server.url + "nothing").status_code == 404
