"""Applications that look at environ."""

from apps.common import answer, seen


def dump(environ, start_response):
    """environ itself; of objects, the name of their type."""
    plain = (str, bool, int, tuple)
    return answer(
        start_response,
        {key: value if isinstance(value, plain) else type(value).__name__ for key, value in environ.items()},
    )


def types(environ, start_response):
    """The exact types of environ, of its keys and of its CGI values."""
    values = {type(value).__name__ for key, value in environ.items() if key.isupper()}
    return answer(
        start_response,
        (type(environ).__name__, sorted({type(key).__name__ for key in environ}), sorted(values)),
    )


def highest(environ, start_response):
    """The highest code point in any string of environ."""
    return answer(
        start_response,
        max(ord(char) for value in environ.values() if isinstance(value, str) for char in value),
    )


def vandal(environ, start_response):
    """Whether the marks of an earlier request are there; leaves marks of its own."""
    found = "test.mark" in environ or environ["REQUEST_METHOD"] != "GET" or "wsgi.input" not in environ
    environ["test.mark"] = True
    environ["REQUEST_METHOD"] = "BROKEN"
    del environ["wsgi.input"]
    environ.pop("PATH_INFO")
    return answer(start_response, found)


kept = []


def keeper(environ, start_response):
    """Keeps each environ for good; tells the paths in all kept so far."""
    kept.append(environ)
    return answer(start_response, [(each["PATH_INFO"], each["HTTP_COLOUR"]) for each in kept])


def errors(environ, start_response):
    """Writes to wsgi.errors in every way."""
    stream = environ["wsgi.errors"]
    stream.write("one by write: \u00e9\u20ac\n")
    stream.writelines(["two by writelines\n", "three by writelines\n"])
    stream.flush()
    return answer(start_response, True)


def errors_print(environ, start_response):
    """Prints to wsgi.errors, without a newline at the end."""
    print("printed", "to", "errors", file=environ["wsgi.errors"], end="")
    environ["wsgi.errors"].flush()
    return answer(start_response, True)


def errors_bytes(environ, start_response):
    """wsgi.errors is a text stream: what does it say to bytes?"""
    try:
        environ["wsgi.errors"].write(b"bytes")
    except TypeError:
        return answer(start_response, "TypeError")
    return answer(start_response, "no error")


def called(environ, start_response):
    """Leaves its method and path behind, to prove that it was called."""
    seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
    return answer(start_response, True)
