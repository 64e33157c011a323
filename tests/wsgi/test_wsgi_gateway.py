"""What PEP 3333 implies and does not say: objects that are kept, shared, or used from other threads."""

import re

import pytest

import harness

DATA = b"0123456789" * 30_000


@pytest.fixture
def letters(tmp_path):
    path = tmp_path / "letters"
    path.write_bytes(b"abcdefghij" * 20_000)
    return path


# A file is sent unread only if reading it would give the same.

@pytest.mark.parametrize("app", ["gzip_file", "buffered_gzip"])
def test_W39_a_descriptor_that_holds_other_bytes_than_read_gives(wsgi, app):
    assert wsgi.request(f"gateway.{app}").body == DATA


@pytest.mark.parametrize("app", ["overridden", "replaced"])
def test_W39_a_read_of_its_own_is_called(wsgi, letters, app):
    assert wsgi.request(f"gateway.{app}", fields={"File": letters}).body == letters.read_bytes().upper()


def test_W39_what_is_written_but_not_flushed_is_sent(wsgi):
    assert wsgi.request("gateway.unflushed").body == b"on disk and in memory!"


def test_W39_a_file_behind_a_proxy_object_has_a_length(host, letters):
    response = host.request("gateway.proxied", fields={"File": letters})
    assert response.body == letters.read_bytes()
    assert response["Content-Length"] == str(len(response.body))


@pytest.mark.parametrize("error", ["TypeError", "ValueError"])
def test_W33_a_len_that_raises_is_none(host, error):
    response = host.request("gateway.unsizeable", target=f"/?{error}")
    assert (response.framing, response.text) == ("chunked", "of unknown length")


# wsgi.errors and tracebacks.

def test_W12_a_line_is_ended_with_its_request(host):
    host.request("gateway.unfinished_line")
    host.server.wait_log("^first half, second half\n")


def test_W12_a_traceback_begins_on_a_line_of_its_own(host):
    host.server.expect_log("behind half a line")
    assert host.request("gateway.flushed_line").status == 500
    host.server.wait_log(r"^flushed half\n2[^\n]* ERROR ")


def test_W12_text_that_utf_8_cannot_hold(host):
    host.request("gateway.odd_text")
    host.server.wait_log(r"^lone \\udcff surrogate\nx{20000} long end\n")


def test_S7_a_message_can_not_forge_a_line(host):
    host.server.expect_log("ValueError: .*CRITICAL forged")
    before = len(host.server.log())
    assert host.request("gateway.forging").status == 500
    host.server.wait_log(r"^  2030[^\n]* CRITICAL forged \\x1b\[31m\\x9b31m \\x0d\\x00 end$")
    log = host.server.log()[before:]
    assert not re.search(r"^2030", log, re.MULTILINE)
    assert not re.search(r"[\x00\x0d\x1b\x7f\x80-\x9f]", log)


# Threads.

def test_W26_write_belongs_to_the_thread_of_its_request(host):
    assert host.request("gateway.threaded").literal() == ("None", "RuntimeError")


def test_W17_a_thread_that_reads_on_is_cut_off(host):
    """It gets the bytes of its own request, then an error; never those of another."""
    for _ in range(5):
        assert host.request("gateway.leave_reading", "POST", body=b"x" * 20_000_000).literal() is True
        host.request("content.echo", "POST", body=b"another" * 100_000)
    reads = harness.eventually(lambda: len(found := host.value("gateway.report_reads")) == 5 and found)
    assert {wrong for _, wrong in reads} == {0}


# Calls that wait for their clients.

def test_W43_contexts_of_results_that_are_made_in_turns(host):
    clients = {name: host.connect(receive_buffer=4096) for name in ("a", "b", "c")}
    bodies = dict.fromkeys(clients, b"")
    for name, client in clients.items():
        client.send(host.raw("gateway.coloured", target=f"/?{name}", version="1.0"))
        client.response_head()
    for _ in range(40):
        for name, client in clients.items():
            bodies[name] += client.receive()
    for name, client in clients.items():
        while data := client.receive():
            bodies[name] += data
        assert bodies[name] == name.encode() * 4_000_000
        client.close()


@pytest.mark.parametrize("change", ["nothing", "text"])
def test_W34_a_list_that_changes_while_it_is_sent(host, change):
    mistakes = {"nothing": "Content-Length is 20000000", "text": "must be bytes, not 'str'"}
    host.server.expect_log(mistakes[change])
    with host.connect(receive_buffer=4096) as client:
        client.send(host.raw("gateway.share"))
        head = client.response_head()
        assert head["Content-Length"] == "20000000"
        assert host.value("gateway.spoil", target=f"/?{change}") is True
        with pytest.raises(harness.Truncated):
            client.response_body(head)
    assert host.request("results.as_list").text == "one list"
