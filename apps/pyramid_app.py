"""A guestbook with attachments, in Pyramid: templates, a form guarded against forgery, a session and a
cookie, upload and download (with ranges), streaming, JSON, static files and an error page.

    cserve apps/pyramid_app.py

Needs pyramid and pyramid_jinja2. Its data lies in ~/.local/share/guestbook, or in the directory that
GUESTBOOK_DIR names.
"""
import csv
import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPError, HTTPNotFound, HTTPSeeOther
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory
from pyramid.view import exception_view_config, notfound_view_config, view_config

DATA = Path(os.environ.get("GUESTBOOK_DIR", "~/.local/share/guestbook")).expanduser().absolute() / "pyramid"
ORDERS = {"newest": "DESC", "oldest": "ASC"}
SCHEMA = """
    CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        message TEXT NOT NULL,
        filename TEXT NOT NULL,  -- the visitor's name for the attachment; '' without one
        written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    )"""


def secret_key():
    """The first line of a file: the same in every process and after a restart, whoever wrote it first."""
    with open(DATA / "secret_key", "a+") as file:
        if file.tell() == 0:
            file.write(secrets.token_hex() + "\n")
        file.seek(0)
        return file.readline()


def connect():
    connection = sqlite3.connect(DATA / "guestbook.sqlite3")
    connection.row_factory = sqlite3.Row
    connection.execute(SCHEMA)
    return connection


def request_db(request):
    connection = connect()
    request.add_finished_callback(lambda request: connection.close())
    return connection


@view_config(route_name="book", request_method="GET", renderer="book.jinja2")
def book(request):
    query = request.params.get("q", "")
    order = request.params.get("order") or request.cookies.get("order")
    if order not in ORDERS:
        order = "newest"
    request.response.set_cookie("order", order, max_age=365 * 24 * 3600, samesite="Lax")
    entries = request.db.execute("SELECT * FROM entry WHERE instr(name || char(10) || message, ?)"
                                 f" ORDER BY id {ORDERS[order]}", [query])
    return {"entries": entries, "query": query, "order": order}


@view_config(route_name="book", request_method="POST")
def sign(request):
    name, message = (request.POST.get(field, "").strip() for field in ("name", "message"))
    if not (name and message):
        raise HTTPBadRequest("An entry needs a name and a message.")
    upload = request.POST.get("attachment")
    filename = getattr(upload, "filename", "")  # not there when no file was chosen
    with request.db as db:
        entry = db.execute("INSERT INTO entry (name, message, filename) VALUES (?, ?, ?)",
                           [name, message, filename]).lastrowid
        if filename:
            with open(DATA / "attachments" / str(entry), "wb") as file:
                shutil.copyfileobj(upload.file, file)
    request.session["name"] = name
    request.session.flash(f"Thank you, {name}!")
    return HTTPSeeOther(request.route_path("book"))


@view_config(route_name="by", renderer="book.jinja2")
def by(request):
    name = request.matchdict["name"]
    entries = request.db.execute("SELECT * FROM entry WHERE name = ? ORDER BY id", [name]).fetchall()
    if not entries:
        raise HTTPNotFound(f"{name} has not written anything here.")
    return {"entries": entries, "query": "", "order": "oldest"}


@view_config(route_name="attachment")
def attachment(request):
    entry = int(request.matchdict["entry"])
    row = request.db.execute("SELECT filename FROM entry WHERE id = ? AND filename != ''", [entry]).fetchone()
    if row is None:
        raise HTTPNotFound("There is no such attachment.")
    path = DATA / "attachments" / str(entry)
    response = FileResponse(path, request, content_type="application/octet-stream")
    response.content_disposition = f"attachment; filename*=UTF-8''{quote(row['filename'])}"
    return response


@view_config(route_name="json", renderer="json")
def as_json(request):
    return [dict(row) for row in request.db.execute("SELECT * FROM entry ORDER BY id")]


@view_config(route_name="csv")
def as_csv(request):
    return Response(app_iter=csv_lines(), content_type="text/csv", charset="utf-8")


def csv_lines():
    """One line at a time as the database yields it. The request is over by then, and with it request.db."""
    to_line = csv.writer(SimpleNamespace(write=str.encode)).writerow
    with closing(connect()) as connection:
        rows = connection.execute("SELECT id, written, name, message, filename FROM entry ORDER BY id")
        yield from map(to_line, rows)


@notfound_view_config(renderer="error.jinja2")
@exception_view_config(HTTPError, renderer="error.jinja2")
def error(problem, request):
    request.response.status = problem.status
    return {"problem": problem}


def make_app():
    DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
    (DATA / "attachments").mkdir(exist_ok=True)
    with Configurator() as config:
        config.include("pyramid_jinja2")
        config.add_jinja2_search_path("templates/pyramid")
        config.set_session_factory(SignedCookieSessionFactory(secret_key(), samesite="Lax"))
        config.set_default_csrf_options(require_csrf=True)
        config.add_request_method(request_db, "db", reify=True)
        config.add_static_view("static", "static")
        config.add_route("book", "/")
        config.add_route("by", "/by/{name:.+}")
        config.add_route("attachment", r"/entries/{entry:\d+}/attachment")
        config.add_route("json", "/entries.json")
        config.add_route("csv", "/entries.csv")
        config.scan(__name__)
        return config.make_wsgi_app()


app = make_app()
