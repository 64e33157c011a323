"""Hosts the tiny applications of this package: the field `App: module.function` chooses one.

With a field `Validated` the application runs inside wsgiref's validator, which checks both
sides of every call. What the application gets and gives is otherwise untouched.
"""

import importlib
from wsgiref.validate import validator


def app(environ, start_response):
    module, _, name = environ["HTTP_APP"].partition(".")
    application = getattr(importlib.import_module(f"apps.{module}"), name)
    if "HTTP_VALIDATED" in environ:
        application = validator(application)
    return application(environ, start_response)
