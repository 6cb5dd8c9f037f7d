"""The bundled site's Celery app: the engine's defaults under whatever CELERY_* the settings say."""

import os

from celery import Celery

from evaluations.conf import celery_defaults

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.add_defaults(celery_defaults)
app.autodiscover_tasks()
