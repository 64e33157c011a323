"""Starts a server that has no command of its own, or one whose command cannot set what the scenarios need.

    python launch.py SERVER PORT MODULE:ATTRIBUTE
"""

import importlib
import sys

LARGEST_BODY = 64 << 20


def bjoern(app, port):
    import bjoern
    bjoern.run(app, "127.0.0.1", port)


def freastal(app, port):
    import freastal
    freastal.serve(app, host="127.0.0.1", port=port)


def fastpysgi(app, port):
    """Its default refuses uploads of more than 10 MB."""
    import fastpysgi
    fastpysgi.server.max_content_length = LARGEST_BODY
    fastpysgi.run(app, host="127.0.0.1", port=port)


def main(name, port, spec):
    module, _, attribute = spec.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    {"bjoern": bjoern, "freastal": freastal, "fastpysgi": fastpysgi}[name](app, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
