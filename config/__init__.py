"""The bundled site: settings, addresses and the Celery app. Not in the wheel; no app imports it."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
