"""An export becomes a row before it becomes a file. The files written so far are done."""

from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q


def files_so_far_are_done(apps, schema_editor):
    files = apps.get_model("pilots", "ExportFile").objects
    files.update(state="done", asked_at=F("written_at"))
    files.filter(written_by=None).update(source="command")
    files.filter(file_name__endswith=".csv").update(format="csv")
    if schema_editor.connection.vendor == "postgresql":
        # It alters no table while checks of changed rows are still to come.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


class Migration(migrations.Migration):
    dependencies = [
        ("pilots", "0003_schedule_slots"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="exportfile", name="export_audience_known"),
        migrations.AddField("exportfile", "vendor", models.CharField(blank=True, max_length=80)),
        migrations.AddField("exportfile", "format", models.CharField(default="xlsx", max_length=24)),
        migrations.AddField("exportfile", "asked_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "exportfile", "source", models.CharField(default="web", max_length=24), preserve_default=False
        ),
        migrations.AddField("exportfile", "state", models.CharField(default="pending", max_length=24)),
        migrations.AddField("exportfile", "reason", models.CharField(blank=True, max_length=300)),
        migrations.AddField("exportfile", "attempts", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("exportfile", "lease_owner", models.CharField(blank=True, max_length=64)),
        migrations.AddField("exportfile", "lease_expires_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("exportfile", "sheet", models.CharField(blank=True, max_length=120)),
        migrations.AddField("exportfile", "rows", models.PositiveIntegerField(default=0)),
        migrations.AddField("exportfile", "digest", models.CharField(blank=True, max_length=64)),
        migrations.AddField("exportfile", "removed_at", models.DateTimeField(blank=True, null=True)),
        migrations.RunPython(files_so_far_are_done, migrations.RunPython.noop),
        migrations.AlterField("exportfile", "asked_at", models.DateTimeField()),
        migrations.AlterField("exportfile", "written_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField("exportfile", "file_name", models.CharField(blank=True, max_length=200)),
        migrations.AlterField("exportfile", "path", models.CharField(blank=True, max_length=500)),
        migrations.AlterField("exportfile", "sha256", models.CharField(blank=True, max_length=64)),
        migrations.AlterModelOptions("exportfile", options={"ordering": ["-asked_at", "-id"]}),
        migrations.AddIndex("exportfile", models.Index(fields=["state"], name="export_state")),
        migrations.AddConstraint(
            "exportfile",
            models.CheckConstraint(
                condition=Q(audience__in=["full", "no-content", "vendor"]), name="export_audience_known"
            ),
        ),
        migrations.AddConstraint(
            "exportfile",
            models.CheckConstraint(
                condition=Q(state__in=["pending", "writing", "done", "failed"]), name="export_state_known"
            ),
        ),
        migrations.AddConstraint(
            "exportfile",
            models.CheckConstraint(condition=Q(format__in=["xlsx", "csv", "parquet"]), name="export_format_known"),
        ),
        migrations.AddConstraint(
            "exportfile",
            models.CheckConstraint(
                condition=~Q(state="done") | (Q(written_at__isnull=False) & ~Q(sha256="")),
                name="export_done_is_written",
            ),
        ),
        migrations.AddConstraint(
            "exportfile",
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(reason=""), name="export_failed_says_why"),
        ),
    ]
