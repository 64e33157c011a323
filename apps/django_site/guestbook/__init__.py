"""A guestbook with attachments, as a Django project: a model and its migration, the admin site, templates, a
form guarded against forgery, sessions and a cookie, upload and download, streaming, JSON, static files and
error pages.

    cd apps/django_site
    python manage.py migrate
    python manage.py createsuperuser
    cserve guestbook.wsgi

The admin site is at http://127.0.0.1:8888/admin/. Needs Django. The data lies in ~/.local/share/guestbook,
or in the directory that GUESTBOOK_DIR names.
"""
