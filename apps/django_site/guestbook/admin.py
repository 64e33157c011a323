from django.contrib import admin

from .models import Entry


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    list_display = ["name", "message", "attachment", "written"]
    list_filter = ["written"]
    search_fields = ["name", "message"]
