"""The Celery app of a host that has none of its own, so that `shared_task` finds a broker.

Public surface: ``ensure_app``.
"""

from __future__ import annotations

from pathlib import Path

from celery import Celery, _state
from django.conf import settings

from evaluations.conf import celery_defaults, embedded_broker


def ensure_app() -> Celery:
    """The host's Celery app where it has configured one, else ours on the host's CELERY_* settings."""
    host_app: Celery | None = getattr(_state, "default_app", None)
    if host_app is not None:
        return host_app
    app = Celery("evaluations")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.add_defaults(celery_defaults)
    if not getattr(settings, "CELERY_BROKER_URL", None):
        folder = Path(getattr(settings, "PILOTS_DATA_DIR", "var")) / "broker"
        url, options = embedded_broker(folder)
        app.conf.update(broker_url=url, broker_transport_options=options)
    app.set_default()
    app.autodiscover_tasks()
    return app
