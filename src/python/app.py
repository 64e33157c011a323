# SPDX-License-Identifier: MIT
"""From "MODULE[:APP]" to the application. Runs inside the server: app.c compiles it in and calls load().

What the user got wrong raises AppError, whose text is a sentence for them. What goes wrong in the
application's own code keeps its exception, with a traceback that begins in that code.

Every worker pays for what is imported here, so what only a mistake or a factory call needs is imported there.
"""

import os
import sys

CO_COROUTINE = 0x80  # as in inspect
NAMES = ("application", "app")  # looked for in this order when the spec has no :APP


class AppError(Exception):
    pass


def load(spec):
    target, _, expression = spec.partition(":")
    is_file = target.endswith(".py") or "/" in target
    module = import_file(target) if is_file else import_dotted(target)
    app = find(module, expression) if expression else find_default(module)
    check(app, spec)
    return app


def find(module, expression):
    names = expression.split(".")
    if not all(name.isidentifier() for name in names):
        return evaluate(module, parse(expression))
    owner, text = module, f"module {module.__name__}"
    for i, name in enumerate(names):
        owner, text = attribute(owner, name, text), ".".join(names[: i + 1])
    return owner


def trim(error):
    """Take the frames of this file off the front of an exception's traceback."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename == load.__code__.co_filename:
        traceback = traceback.tb_next
    error.__traceback__ = traceback


def failure(error):
    """A WSGI application that shows why another could not be loaded."""
    import traceback

    reason = f"{error}\n" if isinstance(error, AppError) else "".join(traceback.format_exception(error))
    text = f"The application could not be loaded:\n\n{reason}\nIt will be tried again when a file is saved.\n"
    body = text.encode("utf-8", "backslashreplace")

    def app(environ, start_response):
        fields = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        start_response("500 Internal Server Error", fields)
        return [body]

    return app


def import_file(path):
    if not os.path.isfile(path):
        raise AppError(f"there is no file {path} in {os.getcwd()}{near_file(path)}")
    path = os.path.abspath(path)
    directory, name = os.path.split(path)
    name = name.removesuffix(".py")
    if not name or "." in name:
        raise AppError(f"{path} cannot be imported: its name must be NAME.py, without another dot")
    if name in sys.stdlib_module_names and name != "test":  # nobody imports that one
        raise AppError(
            f"{path} cannot be imported, because there is another module {name} (Python's own), which others"
            " import; give the file another name"
        )
    sys.path.insert(0, directory)
    module = import_dotted(name)
    loaded = getattr(module, "__file__", None)
    if not loaded or not os.path.samefile(loaded, path):
        raise AppError(
            f"{path} cannot be imported, because there is another module {name}"
            f" ({loaded or 'built in'}); give the file another name"
        )
    return module


def near_file(path):
    import difflib

    directory, name = os.path.split(path)
    there = os.listdir(directory or ".") if os.path.isdir(directory or ".") else []
    near = difflib.get_close_matches(name, [found for found in there if found.endswith(".py")], 1)
    return f"; did you mean {os.path.join(directory, near[0])}?" if near else ""


def import_dotted(name):
    if not all(name.split(".")):
        raise AppError(f"{name!r} is no module name; it should look like mysite.wsgi or apps/hello.py")
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != name and not name.startswith(missing + "."):
            raise
        raise AppError(
            f"there is no module {missing} ({error}); looked in: {os.pathsep.join(sys.path)}"
        ) from None
    return sys.modules[name]


def parse(expression):
    import ast

    try:
        return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError) as error:
        reason = getattr(error, "msg", error)
        raise AppError(
            f"cannot read {expression!r} ({reason}); it should look like app, site.app or "
            "create_app('prod', debug=True)"
        ) from None


def evaluate(module, node):
    """The value of a name, attributes of it, and calls with literal arguments."""
    import ast

    if isinstance(node, ast.Name):
        return attribute(module, node.id, f"module {module.__name__}")
    if isinstance(node, ast.Attribute):
        return attribute(evaluate(module, node.value), node.attr, ast.unparse(node.value))
    if isinstance(node, ast.Call):
        return call(module, node)
    raise AppError(
        f"{ast.unparse(node)!r} is neither a name, nor an attribute, nor a call with literal arguments"
    )


def call(module, node):
    import ast

    factory = evaluate(module, node.func)
    if not callable(factory):
        raise AppError(
            f"{ast.unparse(node)} cannot be called: {ast.unparse(node.func)} is {describe(factory)}"
        )
    try:
        positional = [ast.literal_eval(value) for value in node.args]
        named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (ValueError, TypeError):
        raise AppError(
            f"the arguments of {ast.unparse(node)} must be literals, such as 'prod', 3 or True"
        ) from None
    if None in named:
        raise AppError(f"the arguments of {ast.unparse(node)} must be literals; ** is not")
    app = factory(*positional, **named)
    if app is None:
        raise AppError(f"{ast.unparse(node)} returned None: is a return missing?")
    return app


def attribute(owner, name, owner_text):
    try:
        return getattr(owner, name)
    except AttributeError:
        raise AppError(f"{owner_text} has no {name}{suggestion(owner, name)}") from None


def suggestion(owner, name):
    """What the user may have meant: names like the wrong one, else all that could be an application."""
    import difflib

    near = difflib.get_close_matches(name, [found for found in dir(owner) if not found.startswith("_")], 3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    if not isinstance(owner, type(sys)):
        return ""
    candidates = [found for found, value in vars(owner).items() if is_candidate(owner, found, value)]
    return f"; it has these callables: {', '.join(candidates[:8])}" if candidates else " and nothing callable"


def is_candidate(module, name, value):
    imported = isinstance(value, type(load)) and value.__module__ != module.__name__
    return callable(value) and not imported and not isinstance(value, type) and not name.startswith("_")


def find_default(module):
    for name in NAMES:
        if hasattr(module, name):
            return getattr(module, name)
    raise AppError(
        f"module {module.__name__} has neither {' nor '.join(NAMES)}{suggestion(module, NAMES[0])}"
        f" (name it: {module.__name__}:NAME)"
    )


def check(app, spec):
    if not callable(app):
        raise AppError(f"{spec} is no application: it is {describe(app)}, which is not callable")
    called = getattr(app, "__call__", None)  # noqa: B004 (what it is, not whether it is there)
    if is_coroutine(app) or is_coroutine(called):
        raise AppError(
            f"{spec} is an ASGI application, or another coroutine; cserve serves WSGI applications"
        )


def is_coroutine(function):
    """Whether it is an async function, a method that is one, or a partial call of one."""
    functools = sys.modules.get("functools")
    while functools and isinstance(function, functools.partial):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return bool(getattr(code, "co_flags", 0) & CO_COROUTINE)


def describe(value):
    return f"an object of type {type(value).__module__}.{type(value).__qualname__}".replace(" builtins.", " ")
