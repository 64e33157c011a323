"""The live page at / of the status listener, in a real Chromium."""

import base64
import hashlib
import itertools
import re

import pytest

import harness
from browser import Browser
from harness import make_request
from load import Load

SOURCE = (harness.ROOT / "src/process/page.html").read_text()
CODE = (harness.ROOT / "src/process/page.c").read_text()
SHOWN = "document.querySelector('#throughput .chart path.series') !== null"  # a chart has something to show
REQUESTS = "parseFloat(document.querySelector('#tiles dd').innerText.replace(/\\s/g, ''))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    page = browser.page()
    yield page
    page.close()


def url(watched):
    return "http://{}:{}/".format(*watched.address)


def expect_no_complaint(page, watched):
    page.evaluate("1")  # what has happened until now has been told
    assert page.complaints == []
    assert set(page.requests) <= {url(watched), url(watched) + "status.json"}


@pytest.mark.parametrize("width", [400, 1600])
def test_the_load_shows_while_it_runs(watch, page, width):
    watched = watch("--workers", "2", "--threads", "4")
    page.resize(width, 1000)
    page.open(url(watched))
    page.eventually(SHOWN)
    assert page.evaluate(REQUESTS) < 20
    with Load(watched.server, connections=8):
        page.eventually(f"{REQUESTS} > 100 || document.querySelector('#tiles dd').innerText.includes('M')")
        page.eventually("/[0-9] [µm]?s/.test(document.querySelector('#latency .legend').innerText)")
        page.eventually("[...document.querySelectorAll('#workers tbody tr')].every((row) => "
                        "parseFloat(row.cells[4].innerText.replace(/\\s/g, '')) > 20)")
        page.eventually("/busy [0-9]+\\s+all 8/.test(document.querySelector('#threads .legend').innerText)")
    page.eventually(f"{REQUESTS} < 20")
    assert {row.split()[0] for row in page.text("#workers tbody").splitlines()} == \
        {str(pid) for pid in harness.children(watched.server.pid)}
    assert page.text("#state") == "● serving"
    assert "idle" in page.text("#bars") and "GET / HTTP/1.1" in page.text("#slowest")
    for each in (width, 700, 1000, 1280):
        page.resize(each, 1000)
        assert page.evaluate("document.documentElement.scrollWidth") == each
        assert page.evaluate("[...document.querySelectorAll('.scroll')].every((each) => "
                             "each.scrollWidth <= each.clientWidth)"), each
    expect_no_complaint(page, watched)


HOSTILE = [
    b"/<script>document.title='broken'</script>", b"/<img/src=x/onerror=document.title='broken'>",
    b"/'\"><svg/onload=document.title='broken'>", b"/\x9b31m\xc2\x9b\xad\xe2\x80\xae", b"/&lt;b&gt;&amp;",
]  # fmt: skip


def test_what_a_client_sent_is_text(watch, page, gate):
    watched = watch("--threads", "4")
    for target in HOSTILE:
        with watched.server.connect() as client:
            assert client.request(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target).status in (200, 400)
    page.open(url(watched))
    with watched.server.connect() as client:
        client.send(make_request(target=f"/gate?{gate.path}"))
        page.eventually(SHOWN)
        page.eventually("document.querySelector('#inflight').innerText.includes('GET /gate?/')")
        gate.open()
        assert client.response().status == 200
    shown = page.text("#slowest")
    taken = [each["line"] for each in watched.overview()["slowest"]]
    assert any("<script>" in line for line in taken)
    for target in HOSTILE:
        text = target.decode("latin-1")
        if any(text in line for line in taken):
            assert re.sub("[\x7f-\x9f\xad]", lambda match: rf"\x{ord(match[0]):02x}", text) in shown
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.querySelectorAll('img, main script, [onload], [onerror]').length") == 0
    assert "broken" not in page.evaluate("document.title")
    expect_no_complaint(page, watched)


def test_the_policy_holds_the_page_to_its_own(watch, page):
    watched = watch()
    answer = watched.get("/")
    assert answer["Content-Type"] == "text/html; charset=utf-8" and answer.body.decode() == SOURCE
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", SOURCE, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{digest}'", "put this hash into src/process/page.c"
    nothing = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert policy == {**nothing, "connect-src": "'self'", "img-src": "data:"}
    page.open(url(watched))
    page.eventually(SHOWN)
    page.evaluate("const own = document.createElement('script'); own.textContent = 'broken = 1'; "
                  "document.body.append(own)")
    page.evaluate(f"fetch('{watched.server.url}').then(() => {{ broken = 1 }}, () => {{ refused = 1 }}); 0")
    page.eventually("window.refused")
    assert page.evaluate("window.broken") is None
    assert watched.server.url not in page.requests


def test_a_server_that_is_gone_is_said_to_be(watch, page):
    watched = watch()
    page.open(url(watched))
    page.eventually(SHOWN)
    watched.server.stop()
    page.eventually("document.querySelector('#state').innerText === '✕ no answer'")


def test_everything_has_a_text(watch, page):
    watched = watch()
    watched.server.get("/")
    page.open(url(watched))
    page.eventually(SHOWN)
    labels = page.evaluate("[...document.querySelectorAll('svg.chart')].map((svg) => svg.ariaLabel)")
    titles = "Requests per second", "Latency", "Threads", "Processor time of the workers"
    assert len(labels) == len(titles)
    for label, title in zip(labels, titles):
        assert re.match(rf"{title}, the last three minutes\. Now: \w", label)
    assert page.evaluate("[...document.querySelectorAll('table')].every((each) => each.caption.innerText)")
    assert page.evaluate("document.querySelectorAll('svg:not([role=img]):not([aria-hidden])').length") == 0
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    # Lines differ in more than their colour.
    dashes = page.evaluate("[...document.querySelectorAll('#latency .legend path')].map("
                           "(path) => getComputedStyle(path).strokeDasharray)")
    assert len(set(dashes)) == 3


def luminance(colour):
    colour = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(colour[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_light_and_dark_can_be_read(watch, page):
    blocks = re.findall(r":root \{(.*?)\}", SOURCE, re.DOTALL)
    assert len(blocks) == 2
    for block, (ink, plane) in itertools.product(blocks, itertools.product(
            ("ink", "dim", "good", "bad", "warn", "a", "b", "c", "d"), ("card", "plane"))):  # fmt: skip
        colours = dict(re.findall(r"--(\w+): #(\w+);", block))
        low, high = sorted((luminance(colours[ink]), luminance(colours[plane])))
        assert (high + 0.05) / (low + 0.05) >= (3 if len(ink) == 1 else 4.5), f"{ink} on {plane}"
    watched = watch()
    page.open(url(watched))
    seen = set()
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        seen.add(page.eventually("getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2
