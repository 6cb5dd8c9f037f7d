"""The audit chain is append-only in the database too, on SQLite and PostgreSQL."""

from django.db import migrations

from evaluations.models.append_only import forbid_changes


def first_link(apps, schema_editor):
    apps.get_model("evaluations", "AuditHead").objects.using(schema_editor.connection.alias).create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("evaluations", "0001_initial")]
    operations = [
        migrations.RunPython(first_link, migrations.RunPython.noop),
        *forbid_changes("evaluations_auditevent"),
    ]
