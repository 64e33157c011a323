"""MODULE[:APP]: what names an application, and what is said when it does not."""

import re

import pytest

import harness

SITE = """
import sys

def answer(text):
    def application(environ, start_response):
        start_response("200 OK", [])
        return [text.encode()]
    return application

class Site:
    app = staticmethod(answer("attribute"))
    class inner:
        app = staticmethod(answer("deep"))

class Called:
    def __call__(self, environ, start_response):
        return answer("object")(environ, start_response)

def create_app(name="default", debug=False, **more):
    if name == "fail":
        raise ValueError("inside the factory")
    return {"none": None, "text": "text"}.get(name, answer(f"{name} {debug} {more}"))

def create_site():
    return Site()

async def coroutine(scope, receive, send):
    pass

class Asgi:
    async def __call__(self, scope, receive, send):
        pass

site = Site()
called = Called()
asgi = Asgi()
wsgi = answer("plain")
number = 3
"""


@pytest.fixture
def tree(tmp_path):
    """A directory of modules to name."""
    files = {
        "site1.py": SITE,
        "both.py": SITE + "application = answer('application')\napp = answer('app')\n",
        "only_app.py": SITE + "app = answer('app')\n",
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "",
        "pkg/sub/wsgi.py": "from pkg.helper import helped\n" + SITE + "application = answer('package')\n",
        "pkg/helper.py": "helped = 1\n",
        "pkg/relative.py": "from .helper import helped\nfrom site1 import *\napp = wsgi\n",
        "dir/flat.py": "import beside\n" + SITE + "app = answer(sys.path[0])\n",
        "dir/beside.py": "",
        "dir/types.py": "",
        "dir/two.dots.py": "",
        "missing_import.py": "import nothing_here\n",
        "pkg/broken.py": "def outer():\n    return 1 / 0\n\nouter()\n",
        "bad_syntax.py": "def broken(:\n",
        "leaves.py": "raise SystemExit('bye')\n",
        "empty.py": "_private = print\n",
        "with-dash.py": SITE + "app = answer('dash')\n",
        "imports_missing_package.py": "import pkg.nothing\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def load(cserve, tree):
    """load(spec): the body that the application answers with, or else the log."""
    processes = []

    def load(spec):
        process = harness.Process(cserve, ["--port", "0", spec], tree)
        processes.append(process)
        if not process.stdout.wait(harness.SERVING.pattern):
            assert process.wait() == 3
            return process.log()
        with harness.Client(harness.parse_address(harness.SERVING.search(process.output())[1])) as client:
            return client.request(harness.make_request()).text

    yield load
    for process in processes:
        process.kill()


@pytest.mark.parametrize(
    "spec, body",
    [
        ("both", "application"),
        ("both:app", "app"),
        ("only_app", "app"),
        ("site1:wsgi", "plain"),
        ("site1:called", "object"),
        ("site1:site.app", "attribute"),
        ("site1:Site.app", "attribute"),
        ("site1:site.inner.app", "deep"),
        ("site1:create_app()", "default False {}"),
        ("site1:create_app('prod')", "prod False {}"),
        ('site1:create_app("a:b", debug=True)', "a:b True {}"),
        ("site1:create_app(name='x', more=[1, (2,), {3: None}])", "x False {'more': [1, (2,), {3: None}]}"),
        ("site1:create_app(-1)", "-1 False {}"),
        ("site1:create_site().app", "attribute"),
        ("site1:Called()", "object"),
        ("pkg.sub.wsgi", "package"),
        ("pkg.sub.wsgi:application", "package"),
        ("pkg.relative", "plain"),
        ("site1.py:wsgi", "plain"),
        ("./only_app.py", "app"),
        ("pkg/sub/wsgi.py", "package"),
        ("with-dash.py", "dash"),
    ],
)
def test_names_of_applications(load, spec, body):
    assert load(spec) == body


def test_a_files_directory_is_first_on_the_path(load, tree):
    assert load("dir/flat.py") == str(tree / "dir")
    assert load(str(tree / "dir/flat.py")) == str(tree / "dir")


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("nothing", "there is no module nothing (No module named 'nothing'); looked in: {tree}:"),
        ("nothing.at.all", "there is no module nothing "),
        ("pkg.nothing", "there is no module pkg.nothing "),
        ("site1.sub", "'site1' is not a package"),
        ("dir/nothing.py", "there is no file dir/nothing.py in {tree}"),
        ("dir/falt.py", "there is no file dir/falt.py in {tree}; did you mean dir/flat.py?"),
        ("dir/flat", "there is no file dir/flat in {tree}; did you mean dir/flat.py?"),
        ("dir/two.dots.py", "its name must be NAME.py"),
        ("dir/types.py", "there is another module types ("),
        (".py", "there is no file .py"),
        (":app", "'' is no module name"),
        ("..x", "'..x' is no module name"),
        (
            "site1",
            "module site1 has neither application nor app; it has these callables: "
            "answer, create_app, create_site, coroutine, "
            "called, asgi, wsgi (name it: site1:NAME)",
        ),
        ("empty", "module empty has neither application nor app and nothing callable"),
        ("site1:wsgy", "module site1 has no wsgy; did you mean wsgi?"),
        ("site1:site.ap", "site has no ap; did you mean app?"),
        ("site1:site.xyz", "site has no xyz\n"),
        ("site1:number", "it is an object of type int, which is not callable"),
        ("site1:site", "it is an object of type site1.Site, which is not callable"),
        ("site1:create_app('none')", "create_app('none') returned None: is a return missing?"),
        ("site1:create_app('text')", "it is an object of type str, which is not callable"),
        ("site1:number()", "number() cannot be called: number is an object of type int"),
        ("site1:create_app(wsgi)", "must be literals"),
        ("site1:create_app(**{'a': 1})", "** is not"),
        ("site1:create_app(*[1])", "must be literals"),
        ("site1:wsgi wsgi", "cannot read 'wsgi wsgi' (invalid syntax)"),
        ("site1:wsgi or wsgi", "neither a name, nor an attribute, nor a call"),
        ("site1:3", "neither a name, nor an attribute"),
        ("site1:coroutine", "is an ASGI application"),
        ("site1:asgi", "is an ASGI application"),
    ],
)
def test_a_wrong_name_is_explained_in_a_sentence(load, tree, spec, reason):
    log = load(spec)
    assert reason.format(tree=tree) in log, log
    assert "Traceback" not in log
    assert " CRITICAL " in log and len(log.splitlines()) == 2


@pytest.mark.parametrize(
    "spec, file, error",
    [
        ("missing_import", "missing_import.py", "ModuleNotFoundError: No module named 'nothing_here'"),
        (
            "imports_missing_package",
            "imports_missing_package.py",
            "ModuleNotFoundError: No module named 'pkg.nothing'",
        ),
        ("pkg.broken", "pkg/broken.py", "ZeroDivisionError: division by zero"),
        ("pkg/broken.py", "pkg/broken.py", "ZeroDivisionError: division by zero"),
        ("leaves", "leaves.py", "SystemExit: bye"),
        ("site1:create_app('fail')", "site1.py", "ValueError: inside the factory"),
        (
            "site1:create_app(1, 2, 3)",
            None,
            "TypeError: create_app() takes from 0 to 2 positional arguments but 3 were given",
        ),
    ],
)
def test_an_error_in_the_application_has_a_traceback_that_begins_there(load, tree, spec, file, error):
    log = load(spec)
    assert error in log, log
    files = re.findall(r'^\s*File "([^"]+)"', log, re.MULTILINE)
    assert files[:1] == ([str(tree / file)] if file else []), log
    assert "<cserve>" not in log and "importlib" not in log


def test_a_syntax_error_shows_the_line(load, tree):
    log = load("bad_syntax")
    assert f'File "{tree}/bad_syntax.py", line 1' in log and "def broken(:" in log and "SyntaxError" in log
    assert "<cserve>" not in log


def test_what_the_factory_and_the_import_print_appears(serve):
    server = serve(
        "print('importing')\n"
        "def make():\n    print('making')\n    return lambda e, s: s('200 OK', []) or []\n"
        "app = make()\n"
    )
    assert server.output().startswith("importing\nmaking\nServing")
