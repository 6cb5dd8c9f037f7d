"""The engine as a Django app."""

from django.apps import AppConfig


class EvaluationsConfig(AppConfig):
    name = "evaluations"
    verbose_name = "Evaluations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from evaluations import checks  # noqa: F401 - registers the checks
        from evaluations.celery_app import tick

        tick("evaluations.tasks.sweep", name="pilots-sweep")
