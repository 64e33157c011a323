"""W1: environ says what its own request said, whatever came before it, on this connection and on others."""

import random

import pytest

import harness

# What the server may keep from one request to the next, and what it must not.
CHOICES = {
    "User-Agent": ["one", "two", "u" * 256, "u" * 257, "caf\u00e9"],
    "Accept": ["*/*", "text/html", ""],
    "Accept-Language": ["en", "de", "e" * 300],
    "Sec-Fetch-Mode": ["cors", "navigate"],
    "Cookie": ["a=1", "b=2"],
    "Authorization": ["Basic x", "Basic y"],
    "X-Own": ["1", "2"],
    "Referer": ["http://a/", "http://b/"],
}
HOSTS = ["one.example", "two.example", "h" * 250 + ".example", None]
METHODS = ["GET", "POST", "BREW", "get", "BREW2"]
TARGETS = ["/", "/a", "/a?b", "/%41", "http://absolute.example/a", "/?"]
ROUNDS = 400


def pick(rng, values):
    """One of a few values, so that repetition is as likely as change."""
    return values[min(rng.randrange(8), rng.randrange(len(values)))]


def make(rng, steady):
    """A request: method, target, version, fields (each up to twice); `steady` ones are nearly all alike."""
    if steady:
        fields = [
            (name, rng.choice(["steady"] * 9 + ["other"]))
            for name in ("User-Agent", "Accept", "Accept-Language")
            for _ in range(rng.choice([0, 1, 1, 1, 1, 1, 1, 2]))
        ]
        return "GET", "/steady", "1.1", [("Host", "steady"), *fields]
    version = rng.choice(["1.1", "1.1", "1.0"])
    host = pick(rng, HOSTS) or ("no.host" if version == "1.1" else None)
    fields = [
        (name, pick(rng, CHOICES[name])) for name in CHOICES for _ in range(rng.choice([0, 1, 1, 1, 2]))
    ]
    rng.shuffle(fields)
    return (
        pick(rng, METHODS),
        pick(rng, TARGETS),
        version,
        [*([("Host", host)] if host else []), ("Connection", "keep-alive"), *fields],
    )


def expected(method, target, version, fields):
    """What of environ the request decides."""
    environ = {"REQUEST_METHOD": method, "SERVER_PROTOCOL": f"HTTP/{version}", "REQUEST_URI": target}
    for name, value in fields:
        key = "HTTP_" + name.upper().replace("-", "_")
        separator = "; " if name == "Cookie" else ","
        environ[key] = environ[key] + separator + value if key in environ else value
    if target.startswith("http:"):
        environ["HTTP_HOST"] = "absolute.example"
    path, _, environ["QUERY_STRING"] = target.removeprefix("http://absolute.example").partition("?")
    environ["PATH_INFO"] = path.replace("%41", "A")
    return environ


@pytest.mark.parametrize("seed", range(3))
def test_W1_environ_is_its_own_requests(host, seed):
    rng = random.Random(seed)
    clients = [host.connect() for _ in range(3)]
    request = make(rng, steady=True)
    for _ in range(ROUNDS):
        client = rng.choice(clients)
        if rng.random() < 0.5:  # otherwise the same again
            request = make(rng, steady=rng.random() < 0.7)
        method, target, version, fields = request
        client.send(harness.make_request(method, target, [*fields, ("App", "environ.dump")], version=version))
        environ = client.response(method).literal()
        decided = {
            key: value
            for key, value in environ.items()
            if key.startswith("HTTP_") and key != "HTTP_APP" or key in expected(*request)
        }
        assert decided == expected(*request)
        assert environ["REMOTE_PORT"] == str(client.port)
    for client in clients:
        client.close()
