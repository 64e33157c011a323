"""What clients connect to: nginx, HAProxy or both in front of cserve, as docs/deployment.md has them."""

import ssl

import deployment
import harness
import proxies
from hosts import FRONT

SERVICE = "/etc/mysite.ini"
NGINX = "/etc/nginx/sites-available/mysite"
HAPROXY = "/etc/haproxy/haproxy.cfg"
BY_TCP = [("bind = unix:/run/mysite.sock\nforwarded-allow-ips = unix\n", "bind = 127.0.0.1:8000\n")]
BOTH = [("forwarded-allow-ips = unix", "forwarded-allow-ips = unix,10.0.0.2")]
# Plain HTTP instead of TLS, or instead of being sent there.
PLAIN = {
    NGINX: [
        ("443 ssl", "80"),
        ("    listen 80;\n    server_name mysite.example;\n    return", "    listen 81;\n    return"),
    ],
    HAPROXY: [("    http-request redirect scheme https unless { ssl_fc }\n", "")],
    f"{HAPROXY}, in mode tcp": [("bind :443 ssl crt /etc/ssl/mysite.pem", "bind :80")],
}


class Front:
    """What clients connect to, and the machine that then serves them."""

    def __init__(self, site, machine, port):
        self.site = site
        self.machine = machine
        self.port = port
        self._asked = 0

    def connect(self, host=None, address=FRONT, port=None, **options):
        host = host or self.site.network.client
        client = host.connect(address, port or self.port, **options)
        return proxies.over_tls(client) if port is None and self.port == 443 else client

    def ask(self, fields=()):
        """environ of a request by the client, who is also named in the access log."""
        self._asked += 1
        target = f"/?{self._asked}"
        with self.connect() as client:
            environ = client.request(harness.make_request(target=target, fields=fields)).literal()
        assert self.machine.line_of(f"GET {target} ").split()[0] == environ["REMOTE_ADDR"]
        return environ


def nginx_changes(machine):
    return [("/run/mysite.sock", machine.socket)]


def behind_nginx(site, tls, by_tcp=False, more=()):
    host = site.network.proxy
    machine = site.machine(host, SERVICE, BY_TCP if by_tcp else ())
    changes = [("unix:/run/mysite.sock", "127.0.0.1:8000")] if by_tcp else nginx_changes(machine)
    site.nginx(host, deployment.block(NGINX, [*changes, *(() if tls else PLAIN[NGINX]), *more]))
    return machine


def behind_haproxy(site, tls, mode="", version=None):
    machine = site.machine(site.network.servers[0], f"{SERVICE}, behind HAProxy{mode.replace(',', '')}")
    changes = [] if tls else PLAIN[HAPROXY + mode]
    if version:
        changes = [*changes, ("send-proxy-v2-ssl", version)]
    site.haproxy(deployment.block(HAPROXY + mode, changes))
    return machine


def behind_both(site, tls):
    host = site.network.servers[0]
    machine = site.machine(host, SERVICE, BOTH)
    site.nginx(host, deployment.block(f"{NGINX}, behind HAProxy", nginx_changes(machine)))
    site.haproxy(deployment.block(HAPROXY, [] if tls else PLAIN[HAPROXY]))
    return machine


TCP = ", in mode tcp"
WAYS = {
    "nginx-unix": (behind_nginx, {}),
    "nginx-tcp": (behind_nginx, {"by_tcp": True}),
    "haproxy": (behind_haproxy, {}),
    "haproxy-v2-ssl": (behind_haproxy, {"mode": TCP}),
    "haproxy-v2": (behind_haproxy, {"mode": TCP, "version": "send-proxy-v2"}),
    "haproxy-v1": (behind_haproxy, {"mode": TCP, "version": "send-proxy"}),
    "haproxy-nginx": (behind_both, {}),
}


def open_front(site, way, tls, **more):
    make, options = WAYS[way]
    front = Front(site, make(site, tls, **options, **more), 443 if tls else 80)
    front.scheme = "https" if tls else "http"
    harness.eventually(lambda: is_ready(front), what="an answer through the proxy")
    return front


def is_ready(front):
    try:
        with front.connect() as client:
            client.send(harness.make_request())
            return b" 200 " in client.receive_until(b"\r\n")
    except (OSError, ssl.SSLError, harness.Truncated):
        return False
