"""The same host with a Celery app of its own, set up as Celery's guide for Django says."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hostcelery.settings")

app = Celery("hostcelery")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task
def of_the_host() -> None:
    """A task of the host."""
