"""docs/logs.md has every atom. Its commands are run by test_docs.py."""

import re

import harness

TEXT = (harness.ROOT / "docs/logs.md").read_text()


def test_every_atom_is_described():
    source = (harness.ROOT / "src/server/access_atoms.c").read_text()
    rows = re.findall(r'^    \{(?:"(\w)"|NULL), (?:KEY\("(\w+)"\)|NULL, NULL), ', source, re.MULTILINE)
    assert {name for row in rows for name in row if name} == set(re.findall(r"%\((\w+)\)s", TEXT))


def test_every_atom_is_known(serve):
    atoms = " ".join(sorted(set(re.findall(r"%\(\w+\)s", TEXT))))
    variables = re.search(r"says: `HTTP_`.*?`wsgi\.url_scheme`", TEXT, re.DOTALL)[0]
    names = [name for name in re.findall(r"`([\w.]+)`", variables) if name != "HTTP_"]
    text = " ".join([atoms, *(f"%({{{name}}}e)s" for name in names)])
    server = serve(harness.ROOT / "apps/hello.py", "--access-logformat", text)
    server.get("/hello")
    assert server.wait_access(1)
