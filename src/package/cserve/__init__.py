# SPDX-License-Identifier: MIT
"""A WSGI server in C, as a module of this interpreter.

serve() runs the server from a program of your own; the command `cserve` and `python -m cserve` do it for any
application. The other names are for what is served: they are the same that the cserve binary offers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Union

from . import _core
from ._core import (
    RequestTimeout,
    ServerError,
    __version__,
    client_disconnected,
    post_fork,
    worker_exit,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = [
    "RequestTimeout",
    "ServerError",
    "__version__",
    "client_disconnected",
    "post_fork",
    "serve",
    "worker_exit",
]

Value = Union[str, bool, int, float, "os.PathLike[str]"]
TEXT, NUMBER = range(2)  # what a keyword's value was; _core knows WORDS, too


def serve(app: WSGIApplication | str, **options: Value | Iterable[Value] | None) -> None:
    """Serve until a signal stops the server: serve(app, port=8888, bind=["[::1]:80", "unix:/run/it.sock"]).

    `app` is a WSGI application, which worker processes get as it is when they are forked; or the name of
    one, "mysite:app", which they import themselves, so that SIGHUP loads it anew. `options` are those of the
    command (`cserve --help`) with `_` for `-`, lists for those that may be repeated, and None for no value.
    They win over the environment (CSERVE_PORT) and the file (config="mysite.ini", or [cserve] in setup.cfg).

    Returns when SIGTERM or SIGINT has stopped the server. TypeError: there is no such option, or `app` is
    not callable. ValueError: a value is wrong. ServerError: the server could not begin, or had to cut
    requests off; the error log says which. RuntimeError: this is not the main thread, or a worker.
    """
    names_it = isinstance(app, str)
    if not names_it and not callable(app):
        raise TypeError(f"an application is needed, or the name of one, not {app!r}")
    keywords = [("app", app if isinstance(app, str) else describe(app), TEXT)]
    for name, value in options.items():
        keywords += ((name, *text_of(name, each)) for each in values_of(value))
    start(None if names_it else app, keywords)


def start(app: object, keywords: list[tuple[str, str, int]]) -> None:
    import threading

    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("serve() takes the signals of its process: call it on the main thread")
    _core.serve(app, keywords, [sys.executable, *sys.orig_argv[1:]])


def describe(app: object) -> str:
    """What messages call an application."""
    name = getattr(app, "__qualname__", None) or type(app).__qualname__
    return f"{getattr(app, '__module__', None) or type(app).__module__}:{name}"


def values_of(value: Value | Iterable[Value] | None) -> Iterable[object]:
    if value is None:
        return ()
    if isinstance(value, (str, bytes, int, float, os.PathLike)):
        return (value,)
    return value


def text_of(name: str, value: object) -> tuple[str, int]:
    """A value as the option table reads it, and what it was."""
    if isinstance(value, bool):
        return str(value).lower(), TEXT
    if isinstance(value, (int, float)):
        return str(value), NUMBER
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise TypeError(f"{name}: text, a path, a number or a truth value is needed, not {value!r}")
    return text, TEXT
