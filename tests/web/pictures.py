"""Takes the pictures of the status page that docs/watching.md shows: `make pictures`.

    python tests/web/pictures.py BINARY [SECONDS]

It serves a shop whose pages take their time, lets clients come for some seconds, and looks with Chromium.
"""

import contextlib
import http.client
import random
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image

import harness
from browser import Browser
from load import Load
from watched import Watched

SHOP = '''
import random, time

def app(environ, start_response):
    path, status = environ["PATH_INFO"], "200 OK"
    if path == "/report":
        time.sleep(random.uniform(0.2, 3))
    elif path == "/cart":
        time.sleep(random.expovariate(50))
    elif path == "/old":
        status = "404 Not Found"
    elif path == "/broken":
        status = "500 Internal Server Error"
    sum(range(int(random.expovariate(1 / 2000))))
    body = b"Thank you for your visit. " * 20
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
'''
VISITORS = [  # what each asks for, and how many seconds it then waits at most
    *((f"/report?year={year}", 1) for year in (2024, 2025, 2026)), *4 * [("/cart", 0.05)],
    ("/old", 0.1), ("/broken", 0.4),
]  # fmt: skip
SIZE = 1280, 960


def visit(server, target, longest, over):
    client = http.client.HTTPConnection(*server.address)
    with contextlib.suppress(OSError, http.client.HTTPException):
        while not over.wait(random.uniform(0, longest)):
            client.request("GET", target)
            client.getresponse().read()


def crowds(server, over):
    """More of them at some times than at others."""
    while not over.wait(random.uniform(0, 2)):
        with Load(server, connections=random.choice([2, 4, 8, 16, 32]), target="/"):
            over.wait(random.uniform(5, 15))


def shrink(path):
    """Keeps the colours that most of it has, and puts what is between two of them to the nearest."""
    picture = Image.open(path).convert("RGB")
    colours = sorted(picture.getcolors(1 << 24), reverse=True)[:160]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in colours for part in colour])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def main(binary, seconds="175"):
    directory = Path(tempfile.mkdtemp())
    (directory / "shop.py").write_text(SHOP)
    factory, stop = harness.server_factory(Path(binary).absolute(), lambda: directory)
    server = factory("shop:app", "--pythonpath", directory, "--status", "127.0.0.1:0", "--workers", "2",
                     "--threads", "8")  # fmt: skip
    over = threading.Event()
    threads = [threading.Thread(target=visit, args=(server, *each, over)) for each in VISITORS]
    threads.append(threading.Thread(target=crowds, args=(server, over)))
    for each in threads:
        each.start()
    browser = Browser(directory / "chromium")
    page = browser.page()
    page.resize(*SIZE)
    page.open("http://{}:{}/".format(*Watched(server).address))
    threading.Event().wait(float(seconds))
    (harness.ROOT / "docs/images").mkdir(exist_ok=True)
    for scheme in ("light", "dark"):
        path = harness.ROOT / f"docs/images/status-{scheme}.png"
        page.prefer(scheme)
        page.picture(path)
        shrink(path)
    browser.close()
    over.set()
    for each in threads:
        each.join()
    stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
