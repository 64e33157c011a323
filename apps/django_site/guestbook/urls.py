from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path

from . import views

urlpatterns = [
    path("", views.book, name="book"),
    path("by/<path:name>", views.by, name="by"),
    path("entries/<int:entry>/attachment", views.attachment, name="attachment"),
    path("entries.json", views.as_json, name="json"),
    path("entries.csv", views.as_csv, name="csv"),
    path("admin/", admin.site.urls),
    # Any WSGI server will do, and nothing in front of it: so the site serves its own styles.
    path("static/<path:path>", serve, {"insecure": True}),
]
