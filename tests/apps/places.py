"""Where the applications are, and the environment that has what they need."""

import sys

import harness

APPS = harness.ROOT / "apps"
DJANGO_SITE = APPS / "django_site"
TINY = harness.ROOT / "tests/apps/tiny"

# The tests run in an environment that has the frameworks: the server is to use the same.
VENV = ["--venv", sys.prefix] if sys.prefix != sys.base_prefix else []
