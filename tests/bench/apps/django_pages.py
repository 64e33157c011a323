"""Django: a text, and a page that a template makes. With a new project's middleware, but no database."""

from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path

import content

settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [Path(__file__).parent / "templates"]}],
)


def hello(request):
    return HttpResponse(content.HELLO, content_type="text/plain")


def page(request):
    return render(request, "page.html", {"title": "Price list", "rows": content.ROWS})


urlpatterns = [path("hello", hello), path("page", page)]
app = get_wsgi_application()
