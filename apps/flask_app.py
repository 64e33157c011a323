"""A guestbook with attachments, in Flask: templates, a form, a session and a cookie, upload and download
(with ranges), streaming, JSON, static files and an error page.

    cserve apps/flask_app.py
    curl -F name=Ada -F message=Hello -F attachment=@README.md http://127.0.0.1:8888/

Needs Flask. Its data lies in ~/.local/share/guestbook, or in the directory that GUESTBOOK_DIR names.
"""
import csv
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

from flask import (Flask, Response, abort, flash, g, jsonify, make_response, redirect, render_template,
                   request, send_file, session, url_for)
from werkzeug.exceptions import HTTPException

DATA = Path(os.environ.get("GUESTBOOK_DIR", "~/.local/share/guestbook")).expanduser().absolute() / "flask"
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


DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
(DATA / "attachments").mkdir(exist_ok=True)
app = Flask(__name__, template_folder="templates/flask")
app.config.update(SECRET_KEY=secret_key(), SESSION_COOKIE_SAMESITE="Lax", MAX_CONTENT_LENGTH=64 * 1024 * 1024)


def connect():
    connection = sqlite3.connect(DATA / "guestbook.sqlite3")
    connection.row_factory = sqlite3.Row
    connection.execute(SCHEMA)
    return connection


def db():
    if "db" not in g:
        g.db = connect()
    return g.db


@app.teardown_appcontext
def close_db(error):
    if "db" in g:
        g.db.close()


@app.get("/")
def book():
    query = request.args.get("q", "")
    order = request.args.get("order") or request.cookies.get("order")
    if order not in ORDERS:
        order = "newest"
    entries = db().execute("SELECT * FROM entry WHERE instr(name || char(10) || message, ?)"
                           f" ORDER BY id {ORDERS[order]}", [query])
    response = make_response(render_template("book.html", entries=entries, query=query, order=order))
    response.set_cookie("order", order, max_age=365 * 24 * 3600, samesite="Lax")
    return response


@app.post("/")
def sign():
    name, message = (request.form.get(field, "").strip() for field in ("name", "message"))
    if not (name and message):
        abort(400, "An entry needs a name and a message.")
    upload = request.files.get("attachment")  # false without a file name: nothing was chosen
    with db():
        entry = db().execute("INSERT INTO entry (name, message, filename) VALUES (?, ?, ?)",
                             [name, message, upload.filename if upload else ""]).lastrowid
        if upload:
            upload.save(DATA / "attachments" / str(entry))
    session["name"] = name
    flash(f"Thank you, {name}!")
    return redirect(url_for("book"), 303)


@app.get("/by/<path:name>")
def by(name):
    entries = db().execute("SELECT * FROM entry WHERE name = ? ORDER BY id", [name]).fetchall()
    if not entries:
        abort(404, f"{name} has not written anything here.")
    return render_template("book.html", entries=entries, order="oldest")


@app.get("/entries/<int:entry>/attachment")
def attachment(entry):
    row = db().execute("SELECT filename FROM entry WHERE id = ? AND filename != ''", [entry]).fetchone()
    if row is None:
        abort(404, "There is no such attachment.")
    return send_file(DATA / "attachments" / str(entry), as_attachment=True, download_name=row["filename"])


@app.get("/entries.json")
def as_json():
    return jsonify([dict(row) for row in db().execute("SELECT * FROM entry ORDER BY id")])


@app.get("/entries.csv")
def as_csv():
    return Response(csv_lines(), mimetype="text/csv")


def csv_lines():
    """One line at a time as the database yields it. The request is over by then, and with it g.db."""
    to_line = csv.writer(SimpleNamespace(write=str)).writerow
    with closing(connect()) as connection:
        rows = connection.execute("SELECT id, written, name, message, filename FROM entry ORDER BY id")
        yield from map(to_line, rows)


@app.errorhandler(HTTPException)
def error(problem):
    response = problem.get_response()  # for the headers that belong to it, such as Allow
    response.set_data(render_template("error.html", problem=problem))
    return response
