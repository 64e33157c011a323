"""docs/deployment.md: its configurations, as files that the tests use, and its commands."""

import re

import harness

PAGE = harness.ROOT / "docs/deployment.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    """{name: text}; the first line of each configuration is a comment with its file's name."""
    found = {}
    for kind, text in BLOCK.findall(PAGE.read_text()):
        if kind != "console":
            name = text.splitlines()[0].removeprefix("# ")
            assert text.startswith("# ") and name not in found, text
            found[name] = text
    return found


def block(name, changes=()):
    """A configuration of the page, with `changes`: (what stands there, what the test needs instead)."""
    text = blocks()[name]
    for old, new in changes:
        assert old in text, f"{old!r} is not in {name}"
        text = text.replace(old, str(new))
    return text


def commands():
    """The command lines of the page's consoles, as root or not."""
    consoles = [text for kind, text in BLOCK.findall(PAGE.read_text()) if kind == "console"]
    lines = "".join(consoles).replace("\\\n", "").splitlines()
    return [line[2:] for line in lines if line[:2] in ("# ", "$ ")]


def option(name, key):
    """The value of `key` in a configuration of any of the kinds on the page."""
    match = re.search(rf"^\s*{re.escape(key)}(?:\s*[=:]\s*|\s+)(.*?);?$", blocks()[name], re.MULTILINE)
    assert match, f"no {key} in {name}"
    return match[1]


def seconds(text):
    """A time as HAProxy, nginx and cserve write it."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|)", text).groups()
    return int(number) / (1000 if unit == "ms" else 1)
