"""Flask: a text, and a page that a template makes."""

from flask import Flask, Response, render_template

import content

app = Flask(__name__)


@app.get("/hello")
def hello():
    return Response(content.HELLO, content_type="text/plain")


@app.get("/page")
def page():
    return render_template("page.html", title="Price list", rows=content.ROWS)
