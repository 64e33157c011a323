"""A server that is watched, by its status listener."""

import json
from pathlib import Path

from prometheus_client import parser as prometheus

import harness
from harness import make_request

APP = Path(__file__).resolve().parent / "apps" / "watched.py"
CLASSES = ("2xx", "3xx", "4xx", "5xx")


class Watched:
    """A server and its status listener."""

    def __init__(self, server):
        self.server = server
        self.address = harness.parse_address(server.wait_log(r"status on (\S+)")[1])

    def get(self, target, fields=(), method="GET"):
        with harness.Client(self.address) as client:
            return client.request(make_request(method, target, fields), method=method)

    def metrics(self):
        """{(name, label values...): value}"""
        text = self.get("/metrics").text
        families = list(prometheus.text_string_to_metric_families(text))
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    def metric(self, *key):
        return self.metrics()[key]

    def answered(self, metrics=None):
        metrics = metrics or self.metrics()
        return sum(metrics["cserve_requests_total", each] for each in CLASSES)

    def overview(self):
        return json.loads(self.get("/status.json").text)
