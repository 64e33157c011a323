"""From this directory to an installed package: sdist, wheel, fresh environment, each Python that is here."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import setuptools

import harness

pytestmark = pytest.mark.package

FLASK = """
from flask import Flask

app = Flask(__name__)
app.add_url_rule("/", view_func=lambda: "Flask is here")
"""
APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]
"""
# setuptools is the one that runs these tests, so that nothing is fetched.
LIBRARY = Path(setuptools.__file__).parent.parent


def build(python, directory, hook):
    """What a hook of the backend makes: the path of the file."""
    program = f"import os, backend; print('made', backend.{hook}(os.path.abspath('../dist')))"
    (directory.parent / "dist").mkdir(exist_ok=True)
    path = f"{directory / 'src/package'}:{LIBRARY}"
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([python, "-c", program], cwd=directory, env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory.parent / "dist" / done.stdout.rsplit("made ", 1)[1].strip()


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist, unpacked; it was made of a copy of this directory."""
    top = tmp_path_factory.mktemp("sdist")
    copy = top / "copy"
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=harness.ROOT, text=True).split("\0")
    for name in filter(None, names):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((harness.ROOT / name).read_bytes())
    archive = build(sys.executable, copy, "build_sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(top)
    return top / archive.name.removesuffix(".tar.gz"), names


def test_the_sdist_has_all_that_make_and_pip_need(sdist):
    directory, names = sdist
    wanted = {name for name in names if name and not name.startswith(".git") and name != ".clang-format"}
    missing = {name for name in wanted if not (directory / name).exists()}
    assert missing <= {".clang-tidy"}


@pytest.fixture(scope="module")
def wheels(sdist):
    """wheel(python): the wheel that this interpreter makes of the sdist."""
    made = {}

    def wheel(python):
        if python not in made:
            made[python] = build(python, sdist[0], "build_wheel")
        return made[python]

    return wheel


@pytest.mark.parametrize("python", harness.interpreters())
def test_every_python_here_builds_a_wheel_that_serves(wheels, python, tmp_path):
    with zipfile.ZipFile(wheels(python)) as archive:
        names = {Path(name).name for name in archive.namelist()}
        archive.extractall(tmp_path)
    assert {"__init__.py", "__main__.py", "paste.py", "_core.pyi", "py.typed", "entry_points.txt"} <= names
    (tmp_path / "app.py").write_text(APP)
    process = harness.Process(python, ["-m", "cserve", "--port", "0", "app"], tmp_path, {"PYTHONPATH": tmp_path})
    try:
        process.wait_output(r"^Serving HTTP on \S+ \.\.\.\n")
        assert process.fetch().body == b"x"
        assert f", {python}\n" in process.log()
        process.signal(15)
        assert process.wait() == 0
    finally:
        process.kill()


def test_a_fresh_environment_serves_a_flask_project_elsewhere(wheels, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, wheels(sys.executable)], check=True)
    next((venv / "lib").glob("python3*/site-packages/")).joinpath("flask.pth").write_text(f"{LIBRARY}\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text(FLASK)
    server = harness.Server(venv / "bin/cserve", "app:app", cwd=project)
    try:
        assert server.get().text == "Flask is here"
        server.stop()
        server.check()
    finally:
        server.kill()
