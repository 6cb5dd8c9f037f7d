"""The engine as a Django app."""

from django.apps import AppConfig

PURGE_SECONDS = 3600


class EvaluationsConfig(AppConfig):
    name = "evaluations"
    verbose_name = "Evaluations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from evaluations import checks  # noqa: F401 - registers the checks
        from evaluations.celery_app import tick

        # The words of everything that is audited here, for whoever reads the audit before the doors were used.
        from evaluations.services import probes, teams  # noqa: F401

        tick("evaluations.tasks.sweep", name="pilots-sweep")
        tick("evaluations.tasks.tick_purge", name="pilots-purge", seconds=PURGE_SECONDS)
