"""The requests that the benchmarks send."""

MINIMAL = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n\r\n"

# What a browser sends: 15 fields besides Host and Connection, 0.9 KB.
BROWSER_FIELDS = {
    "Host": "127.0.0.1:8888",
    "Connection": "keep-alive",
    "Cache-Control": "max-age=0",
    "sec-ch-ua": '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                  "Chrome/130.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
              "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9,de;q=0.8",
    "Cookie": "sessionid=abcdefghijklmnopqrstuvwxyz0123456789; csrftoken=ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


def minimal(_number):
    return MINIMAL


def _head(fields):
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET /hello HTTP/1.1\r\n{lines}\r\n".encode()


BROWSER = _head(BROWSER_FIELDS)


def browser(_number):
    return BROWSER


def varying(number):
    """As a browser's, but no value is ever that of another request; Connection alone stays."""
    varied = {name: f"{value[:-7]}{number:07}" if len(value) > 8 else f"{number:07}"
              for name, value in BROWSER_FIELDS.items() if name not in ("Host", "Connection")}
    varied["Host"] = f"h{number:07}.test"
    return _head({**BROWSER_FIELDS, **varied})
