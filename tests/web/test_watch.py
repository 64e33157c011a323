"""--reload: what is saved is served, and what does not load is shown until it does."""

import contextlib
import os
import signal
import threading

import pytest

import harness
from harness import make_request

APP = """
import os
import helper

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/gate":
        gate = os.open(environ["QUERY_STRING"], os.O_RDONLY)
        os.read(gate, 1)
        os.close(gate)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/lazy":
        import lazy
        return [lazy.VERSION.encode()]
    if path == "/template":
        with open("templates/page.html") as file:
            return [file.read().encode()]
    if path == "/data":
        with open("data.txt") as file:
            return [file.read().encode()]
    return [helper.VERSION.encode()]
"""
MODES = pytest.mark.parametrize(
    "options", [(), ("--preload",), ("--workers", "3")], ids=["plain", "preload", "workers"]
)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Site:
    """A server with --reload, and its files."""

    def __init__(self, server):
        self.server = server
        self.path = server.cwd

    def version(self, target="/"):
        return self.server.get(target).text

    def wait(self, text, target="/"):
        harness.eventually(lambda: self.version(target) == text, what=f"{text} at {target}")

    def write(self, name, text):
        write(self.path / name, text)

    def save(self, version, name="helper.py"):
        self.write(name, f"VERSION = {version!r}\n")

    def reloads(self):
        return self.server.log().count("changed: reloading")

    def worker_serves(self, times):
        harness.eventually(lambda: self.server.log().count(" serves\n") >= times, what=f"{times} new workers")


@pytest.fixture
def site(cserve, tmp_path):
    """site(*options, files={}): files are there before the start."""
    servers = []

    def serve(app, *options):
        servers.append(harness.Server(cserve, app, options, cwd=tmp_path))
        harness.RUNNING.append(servers[-1])
        return servers[-1]

    def make(*options, files=None, app=APP):
        there = {"helper.py": "VERSION = 'one'\n", "lazy.py": "VERSION = 'lazy one'\n", **(files or {})}
        for name, text in there.items():
            write(tmp_path / name, text)
        return Site(serve(app, "--reload", *options))

    yield make
    for server in servers:
        harness.RUNNING.remove(server)
        try:
            server.stop()
            server.check()
        finally:
            server.kill()


# --- saving -----------------------------------------------------------------------------------------


def in_place(path, text):
    path.write_text(text)


def by_rename(path, text):
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.rename(path)


def as_vim_does(path, text):
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


@pytest.mark.parametrize("save", [in_place, by_rename, as_vim_does])
def test_what_is_saved_is_served(site, save):
    here = site()
    assert here.version() == "one"
    for version in ("two", "three"):
        save(here.path / "helper.py", f"VERSION = {version!r}\n")
        here.wait(version)
    assert "INFO helper.py changed: reloading" in here.server.log()


@MODES
def test_all_workers_are_new(site, options):
    here = site(*options)
    before = set(harness.children(here.server.pid))
    here.save("two")
    here.wait("two")
    assert {here.version() for _ in range(30)} == {"two"}
    harness.eventually(lambda: len(harness.children(here.server.pid)) == len(before))
    assert not before & set(harness.children(here.server.pid))


def test_the_same_size_in_the_same_second(site):
    """Python's bytecode cache cannot tell such files apart, so they must not get into it."""
    here = site()
    for number in range(100, 115):
        here.save(str(number))
        here.wait(str(number))
    assert not list((here.path / "__pycache__").glob("helper*"))


def test_old_modules_are_cached_as_ever(site):
    here = site(files={"old.py": "VERSION = 'old'\n"}, app=APP.replace("import helper", "import helper, old"))
    assert not (here.path / "__pycache__").exists()
    for name in ("old.py", "app.py", "helper.py"):
        os.utime(here.path / name, (1_700_000_000, 1_700_000_000))
    here.save("two")
    here.wait("two")
    assert list((here.path / "__pycache__").glob("old*"))


def test_a_half_written_file_is_not_loaded(site):
    here = site()
    with (here.path / "helper.py").open("w") as file:
        file.write("VERSION = ")
        file.flush()
        here.save("lazy two", "lazy.py")  # nobody has imported it: nothing happens either
        assert {here.version() for _ in range(50)} == {"one"} and here.reloads() == 0
        file.write("'two'\n")
    here.wait("two")
    assert here.reloads() == 1


def test_several_files_at_once_are_one_reload(site):
    here = site()
    assert here.version("/lazy") == "lazy one"
    here.server.signal(signal.SIGSTOP)
    here.save("two")
    here.save("lazy two", "lazy.py")
    here.write("app.py", f"{APP}\n")
    here.server.signal(signal.SIGCONT)
    here.wait("two")
    assert here.version("/lazy") == "lazy two"
    assert here.reloads() == 1 and ".py and 2 more changed: reloading" in here.server.log()


def test_a_module_that_a_request_imports(site):
    here = site()
    assert here.version("/lazy") == "lazy one"
    here.save("lazy two", "lazy.py")
    here.wait("lazy two", "/lazy")


def test_a_linked_file_and_what_it_leads_to(site, tmp_path_factory):
    real = tmp_path_factory.mktemp("real") / "helper.py"
    here = site()
    real.write_text("VERSION = 'two'\n")
    (here.path / "link").symlink_to(real)
    (here.path / "link").rename(here.path / "helper.py")
    here.wait("two")
    real.write_text("VERSION = 'three'\n")
    here.wait("three")


def test_a_template_that_was_read(site):
    here = site(files={"templates/page.html": "first"})
    assert here.version("/template") == "first"
    here.write("templates/page.html", "second")
    here.server.wait_log("INFO templates/page.html changed: reloading")
    here.worker_serves(1)
    assert here.version("/template") == "second"


def test_what_is_saved_as_soon_as_it_was_read(site):
    """Before the master has come to watching it."""
    here = site(files={"templates/page.html": "first"})
    here.server.signal(signal.SIGSTOP)
    assert here.version("/template") == "first"
    here.write("templates/page.html", "second")
    here.server.signal(signal.SIGCONT)
    here.server.wait_log("INFO templates/page.html changed: reloading")


def test_what_does_not_count(site):
    """Data that the application reads, what nobody has read, and bytecode."""
    here = site(files={"data.txt": "data"})
    assert here.version("/data") == "data"
    others = (".helper.py.swp", "__pycache__/helper.pyc", "node_modules/a/b.js")
    for name in ("data.txt", "lazy.py", "new.py", *others):
        here.write(name, "x")
    here.save("two")
    here.wait("two")
    assert here.reloads() == 1 and "INFO helper.py changed: reloading" in here.server.log()


def test_extra_files(site):
    files = {"data.txt": "data", "conf/a.ini": "", "conf/b.ini": ""}
    here = site("--reload-extra-file", "data.txt", "--reload-extra-file", "conf", files=files)
    for count, name in enumerate(("data.txt", "conf/a.ini", "conf/new.ini"), 1):
        here.write(name, "x")
        here.server.wait_log(f"INFO {name} changed: reloading")
        here.worker_serves(count)


def test_an_extra_file_that_is_not_there_yet(site):
    here = site("--reload-extra-file", "later.txt")
    assert "WARNING --reload-extra-file later.txt: No such file" in here.server.log()
    here.write("later.txt", "x")
    here.server.wait_log("later.txt changed: reloading")


def test_only_with_the_option(serve):
    server = serve(APP.replace("import helper", "").replace("helper.VERSION", "path"))
    assert not [link for link in harness.links(server.pid) if "inotify" in link]


# --- code that does not load ------------------------------------------------------------------------


@MODES
def test_a_syntax_error_is_shown_and_waited_out(site, options):
    here = site(*options)
    here.server.allow_log("The application could not be loaded.*SyntaxError")
    here.write("helper.py", "VERSION = (\n")
    response = harness.eventually(lambda: (got := here.server.get()).status == 500 and got)
    assert "SyntaxError" in response.text and "helper.py" in response.text
    assert response["Content-Type"] == "text/plain; charset=utf-8" and response["Cache-Control"] == "no-store"
    here.server.wait_log("ERROR The application could not be loaded:.*SyntaxError")
    here.save("mended")
    here.wait("mended")
    assert {here.version() for _ in range(30)} == {"mended"}


def test_it_may_be_broken_from_the_start(site):
    here = site(files={"helper.py": "VERSION = 1 / 0\n"})
    here.server.expect_log("ZeroDivisionError")
    assert "ZeroDivisionError" in here.server.get().text
    here.save("mended")
    here.wait("mended")


def test_a_module_that_is_missed(site):
    """Nobody has read it, and yet it counts when it comes."""
    here = site()
    here.server.allow_log("No module named 'missed'")
    here.write("app.py", APP.replace("import helper", "import helper, missed"))
    harness.eventually(lambda: "No module named 'missed'" in here.version())
    here.write("missed.py", "")
    here.wait("one")


def test_a_package_that_goes_and_comes_back(site):
    files = {"pack/__init__.py": "", "pack/inner.py": "VERSION = 'in'\n"}
    here = site(files=files, app=APP.replace("import helper", "from pack import inner as helper"))
    here.server.allow_log("could not be loaded")
    assert here.version() == "in"
    (here.path / "pack").rename(here.path / "away")
    harness.eventually(lambda: here.server.get().status == 500)
    (here.path / "away").rename(here.path / "pack")
    here.wait("in")
    here.save("again", "pack/inner.py")
    here.wait("again")


def test_a_template_in_a_directory_that_is_not_there_yet(site):
    """A framework may remember that it was missed, so the file that comes is a change."""
    here = site(files={"templates/other/page.html": "other"})
    here.server.allow_log("FileNotFoundError")
    (here.path / "templates/other/page.html").unlink()
    (here.path / "templates/other").rmdir()
    (here.path / "templates").rmdir()
    assert here.server.get("/template").status == 500
    here.write("templates/page.html", "first")
    here.server.wait_log("INFO templates.* changed: reloading")
    here.wait("first", "/template")


def test_a_package_that_is_made_in_steps(site):
    here = site()
    here.server.allow_log("could not be loaded")
    here.write("app.py", APP.replace("import helper", "from pack.inner import helper"))
    harness.eventually(lambda: here.server.get().status == 500)
    (here.path / "pack").mkdir()
    here.server.wait_log("INFO pack changed: reloading")
    harness.eventually(lambda: "pack.inner" in here.version())
    here.write("pack/inner.py", "import helper\n")
    here.wait("one")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_that_appears(site, link):
    here = site(files={"kept.txt": "VERSION = 'linked'\n"})
    here.server.allow_log("could not be loaded")
    (here.path / "helper.py").unlink()
    harness.eventually(lambda: here.server.get().status == 500)
    link(here.path / "kept.txt", here.path / "helper.py")
    here.wait("linked")


def test_what_the_application_writes_for_itself_is_no_change(site):
    made = "open('made.py', 'w').write('X = 1'); import made; import helper"
    here = site(files={"made.py": "X = 0\n"}, app=APP.replace("import helper", made))
    assert here.version() == "one"
    here.save("two")
    here.wait("two")
    here.save("three")
    here.wait("three")
    assert here.reloads() == 2


def test_the_name_of_the_application(site):
    """What is no application is shown as a sentence, as it is without --reload."""
    here = site()
    here.server.allow_log("module app has neither application nor app")
    here.write("app.py", APP.replace("def app(", "def apple("))
    response = harness.eventually(lambda: (got := here.server.get()).status == 500 and got)
    assert "module app has neither application nor app" in response.text and "Traceback" not in response.text
    here.write("app.py", APP)
    here.wait("one")


def test_without_the_option_no_traceback_is_served(cserve, tmp_path):
    (tmp_path / "app.py").write_text("1 / 0\n")
    process = harness.Process(cserve, ["app", "--port", "0"], tmp_path)
    assert process.wait() == 3 and process.output() == ""


def test_check_is_not_fooled(cserve, tmp_path):
    (tmp_path / "app.py").write_text("1 / 0\n")
    process = harness.Process(cserve, ["app", "--reload", "--check"], tmp_path)
    assert process.wait() == 1 and "ZeroDivisionError" in process.log()


# --- clients ----------------------------------------------------------------------------------------


def test_nobody_is_refused(site):
    here = site()
    versions, over = [], threading.Event()

    def ask():
        while not over.is_set():
            versions.append(here.version())

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    saved = [f"v{number}" for number in range(10)]
    for version in saved:
        here.save(version)
        harness.eventually(lambda version=version: version in versions)
    over.set()
    for client in clients:
        client.join()
    assert set(versions) <= {"one", *saved}


def test_who_comes_while_it_loads_waits_for_the_new_code(site, gate):
    here = site()
    here.write("helper.py", f"open({str(gate.path)!r}).read(1)\nVERSION = 'two'\n")
    gate.wait_until_reached()
    with here.server.connect() as client:
        client.send(make_request())
        gate.open()
        assert client.response().text == "two"


def test_a_save_while_it_loads_starts_anew(site, gate):
    """A hanging import does not keep the next version away."""
    here = site()
    here.write("helper.py", f"open({str(gate.path)!r}).read(1)\nVERSION = 'two'\n")
    gate.wait_until_reached()
    here.save("three")
    here.wait("three")


def test_a_request_in_flight_is_finished_by_the_old_worker(site, gate):
    here = site()
    with here.server.connect() as client:
        client.send(make_request(target=f"/gate?{gate.path}"))
        gate.wait_until_reached()
        here.save("two")
        here.wait("two")
        gate.open()
        response = client.response()
        assert response.text == "one" and response.connection() == {"close"}


def test_an_idle_connection_gets_no_answer_of_the_old_code(site):
    here = site()
    with here.server.connect() as client:
        assert client.request(make_request()).text == "one"
        here.save("two")
        here.wait("two")
        with contextlib.suppress(BrokenPipeError):
            client.send(make_request())
        client.expect_end(reset=True)


def test_stopping(site):
    here = site("--workers", "2")
    here.save("two")
    here.server.signal(signal.SIGTERM)
    assert here.server.wait() == 0


def test_HUP_does_what_it_does_without(site):
    here = site()
    here.server.signal(signal.SIGHUP)
    here.server.wait_log("INFO reloaded")
    here.save("two")
    here.wait("two")
