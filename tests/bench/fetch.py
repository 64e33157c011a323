"""The harness's own client: sends a scenario's request and compares what comes back, byte by byte.

It verifies each server before it is measured. What it sends are the very bytes that the load tool sends.
"""

import http.client
import io
import socket

SECONDS = 5
CLOSE = b"\r\nConnection: close\r\n"


class Wrong(Exception):
    """An answer that is not what the application gave. The text is for the report."""


class _Answers(io.BufferedReader):
    """The bytes of a connection. http.client would close it behind each answer, and lose what follows."""

    def makefile(self, _mode):
        return self

    def close(self):
        pass


class Connection:
    """A connection to a server, of which any number of requests can be under way."""

    def __init__(self, port, seconds=SECONDS):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._answers = _Answers(socket.SocketIO(self._socket, "rb"), 4096)

    def send(self, request):
        self._socket.sendall(request)

    def receive(self):
        """(status, body, whether the connection is of no further use)."""
        try:
            answer = http.client.HTTPResponse(self._answers)
            answer.begin()
            return answer.status, answer.read(), answer.will_close
        except TimeoutError:
            raise Wrong(f"does not end its answer within {self._socket.gettimeout():.0f} s") from None
        except http.client.RemoteDisconnected:
            raise Wrong("closes the connection without an answer") from None
        except (http.client.HTTPException, ValueError) as error:
            raise Wrong(f"gives no answer: {type(error).__name__}: {error}") from None

    def await_first_byte(self):
        if not self._answers.peek(1):
            raise Wrong("closes the connection without an answer")

    def await_end(self):
        """For those who asked for it."""
        try:
            ended = not self._answers.peek(1)
        except TimeoutError:
            ended = False
        if not ended:
            raise Wrong("does not close the connection when it is asked to")

    def ask(self, request):
        self.send(request)
        return self.receive()

    def close(self):
        self._socket.close()


def compare(status, body, expected):
    if status != 200:
        raise Wrong(f"answers with status {status}")
    if body != expected:
        same = next((at for at, (one, other) in enumerate(zip(body, expected)) if one != other),
                    min(len(body), len(expected)))
        raise Wrong(f"answers {len(body)} bytes instead of {len(expected)}, wrong ones from byte {same} on")


def verify(port, scenario, times=2):
    """Sends the request so many times, over one connection if the server keeps it, and compares each answer.

    Returns how many bytes were compared."""
    expected, compared, connection = scenario.expected(), 0, None
    try:
        for number in range(times):
            connection, request = connection or Connection(port), scenario.request(number)
            connection.send(request)
            for _ in range(scenario.pipeline):
                status, body, closes = connection.receive()
                compare(status, body, expected)
                compared += len(body)
            if CLOSE in request:
                connection.await_end()
            if closes or CLOSE in request:
                connection.close()
                connection = None
    except OSError as error:
        raise Wrong(f"gives no answer: {error}") from None
    finally:
        if connection:
            connection.close()
    return compared
