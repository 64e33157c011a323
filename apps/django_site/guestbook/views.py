import csv
from types import SimpleNamespace

from django.contrib import messages
from django.db.models import Q
from django.forms import ModelForm, Textarea
from django.http import FileResponse, Http404, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from .models import Entry

ORDERS = {"newest": "-id", "oldest": "id"}


class EntryForm(ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "message", "attachment"]
        widgets = {"message": Textarea({"rows": 3})}

    def clean_name(self):
        return " ".join(self.cleaned_data["name"].split())  # no line break: it becomes part of an address


@require_http_methods(["GET", "HEAD", "POST"])
def book(request):
    if request.method == "POST":
        return sign(request)
    query = request.GET.get("q", "")
    order = request.GET.get("order") or request.COOKIES.get("order")
    if order not in ORDERS:
        order = "newest"
    entries = Entry.objects.filter(Q(name__contains=query) | Q(message__contains=query))
    response = render(request, "book.html", {
        "form": EntryForm(initial={"name": request.session.get("name")}),
        "entries": entries.order_by(ORDERS[order]), "query": query, "order": order})
    response.set_cookie("order", order, max_age=365 * 24 * 3600, samesite="Lax")
    return response


def sign(request):
    form = EntryForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "book.html", {"form": form}, status=400)
    entry = form.save()
    request.session["name"] = entry.name
    messages.success(request, f"Thank you, {entry.name}!")
    return redirect("book")


def by(request, name):
    entries = Entry.objects.filter(name=name).order_by("id")
    if not entries:
        raise Http404(f"{name} has not written anything here.")
    return render(request, "book.html", {"form": EntryForm(), "entries": entries, "order": "oldest"})


def attachment(request, entry):
    entry = get_object_or_404(Entry.objects.exclude(attachment=""), id=entry)
    return FileResponse(entry.attachment.open(), as_attachment=True)


def as_json(request):
    return JsonResponse(list(Entry.objects.order_by("id").values()), safe=False)


def as_csv(request):
    """One line at a time as the database yields it, however many there are."""
    to_line = csv.writer(SimpleNamespace(write=str)).writerow
    rows = Entry.objects.order_by("id").values_list("id", "written", "name", "message", "attachment")
    return StreamingHttpResponse(map(to_line, rows.iterator()), content_type="text/csv; charset=utf-8")
