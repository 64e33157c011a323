"""One server for all tiny applications; see apps/host.py for how a request chooses one."""

import pytest

import harness


class Host:
    """Requests to the tiny applications, with the server that they run in."""

    def __init__(self, server, validated=False):
        self.server = server
        self.validated = validated

    def fields(self, app, fields=()):
        extra = [("Validated", "yes")] if self.validated else []
        return [*(fields.items() if isinstance(fields, dict) else fields), ("App", app), *extra]

    def raw(self, app, method="GET", target="/", fields=(), body=b"", version="1.1"):
        """The bytes of a request to an application."""
        return harness.make_request(method, target, self.fields(app, fields), body, version)

    def request(self, app, method="GET", target="/", fields=(), body=b"", version="1.1", index=0):
        """One request on a connection of its own."""
        return self.server.request(method, target, self.fields(app, fields), body, version, index)

    def value(self, app, method="GET", target="/", fields=(), body=b"", version="1.1", index=0):
        """What an application answered with common.answer."""
        return self.request(app, method, target, fields, body, version, index).literal()

    def connect(self, **options):
        return self.server.connect(**options)

    def plainly(self, app, target="/"):
        """As `value`, never validated: for the applications that report."""
        return Host(self.server).value(app, target=target)

    def closed(self, key):
        """How often close() was called for this key so far."""
        return self.plainly("common.report_closed", f"/?{key}")

    def seen(self):
        return self.plainly("common.report_seen")


@pytest.fixture(scope="session")
def host_server(cserve, tmp_path_factory):
    factory, stop = harness.server_factory(cserve, lambda: tmp_path_factory.mktemp("host"))
    yield harness.start_host(factory)
    stop()


@pytest.fixture
def host(host_server):
    """The shared server, applications not validated: for what breaks the rules on purpose."""
    return Host(host_server)


@pytest.fixture(params=["plain", "validated"])
def wsgi(host_server, request):
    """The shared server; each test runs with and without wsgiref.validate around its application."""
    return Host(host_server, request.param == "validated")


@pytest.fixture
def own_host(serve):
    """own_host(*options): a server of this test's own for the tiny applications."""
    return lambda *options, env=None: Host(harness.start_host(serve, *options, env=env))


@pytest.fixture
def gate(tmp_path):
    """A gate for common.wait_gate, closed."""
    gate = harness.Gate(tmp_path / "gate")
    yield gate
    gate.release()


@pytest.fixture(params=["plain", "validated"])
def wsgi_over(request):
    """As `wsgi`, for another server: wsgi_over(server)."""
    return lambda server: Host(server, request.param == "validated")
