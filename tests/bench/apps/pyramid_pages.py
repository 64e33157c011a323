"""Pyramid: a text, and a page that a template makes."""

from pathlib import Path

from pyramid.config import Configurator
from pyramid.response import Response

import content


def hello(request):
    return Response(content.HELLO, content_type="text/plain")


def page(request):
    return {"title": "Price list", "rows": content.ROWS}


def make_app():
    config = Configurator(settings={"jinja2.directories": str(Path(__file__).parent / "templates")})
    config.include("pyramid_jinja2")
    config.add_jinja2_renderer(".html")
    for name, view, renderer in (("hello", hello, None), ("page", page, "page.html")):
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, renderer=renderer)
    return config.make_wsgi_app()


app = make_app()
