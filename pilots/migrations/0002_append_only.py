"""A pilot's events are append-only in the database too, on SQLite and PostgreSQL."""

from django.db import migrations

from evaluations.models.append_only import forbid_changes


class Migration(migrations.Migration):
    dependencies = [("pilots", "0001_initial")]
    operations = [
        *forbid_changes("pilots_pilotevent"),
        *forbid_changes("pilots_eventattachment"),
    ]
