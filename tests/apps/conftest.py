"""The applications as their users start them, and clients as real programs are."""

import os
import shutil
import subprocess
import sys

import pytest
import requests

from places import DJANGO_SITE

pytest.register_assert_rewrite("guestbook_tests")


class Gate:
    """What an application waits at: it opens `path` and reads a byte, which open() lets come."""

    def __init__(self, path):
        self.path = str(path)
        os.mkfifo(path)
        self.descriptor = os.open(path, os.O_RDWR)

    def open(self):
        os.write(self.descriptor, b"!")

    def close(self):
        """Let pass whatever a failed test left waiting."""
        os.write(self.descriptor, b"!" * 100)
        os.close(self.descriptor)


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


@pytest.fixture
def session():
    """An HTTP client with cookies and a connection that it keeps."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def manage(data, *arguments, **environment):
    """Run a command of the Django site; fails unless it succeeds."""
    environment = {**os.environ, "GUESTBOOK_DIR": str(data), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=DJANGO_SITE, env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def django_template(tmp_path_factory):
    """The data directory of a site that was migrated and has the administrator ada, to copy."""
    data = tmp_path_factory.mktemp("template")
    manage(data, "migrate")
    manage(data, "createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org",
           DJANGO_SUPERUSER_PASSWORD="lovelace")
    return data


@pytest.fixture(scope="session")
def make_django_data(django_template, tmp_path_factory):
    """make_django_data(): a data directory of one's own for the Django site."""
    def make():
        data = tmp_path_factory.mktemp("django") / "data"
        shutil.copytree(django_template, data)
        return data
    return make


class Chromium:
    """Headless Chromium, one run for each page."""

    FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--hide-scrollbars"]

    def __init__(self, directory):
        self.program = shutil.which("chromium")
        assert self.program, "no chromium: it is one of the packages that `make test` installs"
        self.directory = directory

    def run(self, *arguments):
        done = subprocess.run([self.program, *self.FLAGS, f"--user-data-dir={self.directory}", *arguments],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dump(self, url):
        """The page as it is when all has loaded."""
        return self.run("--dump-dom", url)

    def screenshot(self, url, width=800, height=600):
        """The path of a picture of the page."""
        path = self.directory / "screenshot.png"
        self.run(f"--screenshot={path}", f"--window-size={width},{height}", url)
        return path


@pytest.fixture
def chromium(tmp_path):
    return Chromium(tmp_path)
