from pathlib import Path

from django.db import models


class Entry(models.Model):
    name = models.CharField(max_length=100)
    message = models.TextField()
    attachment = models.FileField(upload_to="%Y/%m", blank=True)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "entries"

    def __str__(self):
        return f"{self.name}, {self.written:%d %B %Y}"

    @property
    def filename(self):
        return Path(self.attachment.name).name
