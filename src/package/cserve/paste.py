# SPDX-License-Identifier: MIT
"""The server as PasteDeploy knows it: `use = egg:cserve` in [server:main] of an .ini file, as for pserve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import describe, start

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

TEXT, WORDS = 0, 2


def run(app: WSGIApplication, global_conf: dict[str, str] | None, **options: str) -> None:
    """Serve as serve() does; values of an option that may be repeated stand between blanks, or in lines."""
    keywords = [("app", describe(app), TEXT)]
    keywords += ((name, value, WORDS) for name, value in options.items())
    start(app, keywords)
