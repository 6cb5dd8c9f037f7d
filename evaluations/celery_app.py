"""Celery under any host: its own app where it has one, else one made here; what our tasks rely on comes with them.

Public surface: ``ensure_app``, ``tick``, ``broker_answers``, ``send_hints``, ``outlive_the_broker``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Any

from celery import Celery, Task, _state, signature
from celery.schedules import schedstate, schedule
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.transport.redis import QoS

from evaluations.conf import celery_defaults, data_dir, embedded_broker, setting

HINT_SECONDS = 0.3


def ensure_app() -> Celery:
    """The host's Celery app where it has configured one, else ours on the host's CELERY_* settings."""
    app: Celery = getattr(_state, "default_app", None) or _own_app()
    return app


class Every(schedule):
    """Every so many seconds, also after the clock was set back: Celery's own interval waits until it has caught up."""

    def is_due(self, last_run_at: datetime) -> schedstate:
        if self.maybe_make_aware(last_run_at) > self.now():
            return schedstate(is_due=True, next=self.seconds)
        return super().is_due(last_run_at)


def tick(task: str, *, name: str, seconds: float | None = None) -> None:
    """Have the scheduler call ``task`` every few ``seconds`` (default: as often as it sweeps).

    A host's app gains the entry and is otherwise left as it is. That is all that is asked of the scheduler: what is due
    when is known to the database.
    """
    app = ensure_app()
    every = Every(float(seconds or setting("SWEEP_SECONDS")), app=app)
    app.add_periodic_task(every, signature(task, app=app), name=name, queue="default")


def broker_answers() -> bool:
    """Whether the broker takes a connection now; waits at most about a second for each of its addresses."""
    try:
        with _connection(seconds=1) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
    except (OperationalError, OSError):
        return False
    return True


def send_hints(task: Task[Any, Any], args: tuple[Any, ...], *, queue: str, times: int = 1) -> bool:
    """Send ``task`` to ``queue``; False if the broker does not take it at once. Nobody waits for a hint."""
    try:
        with _connection(seconds=HINT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
            producer = ensure_app().amqp.Producer(connection, auto_declare=False)
            for _ in range(times):
                task.apply_async(args, queue=queue, producer=producer, retry=False)
    except (OperationalError, OSError):
        return False
    return True


def _connection(*, seconds: float) -> Connection:
    """To the broker, by somebody who has so much time for each answer."""
    patience = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    return ensure_app().connection_for_write(connect_timeout=seconds, transport_options=patience)


def outlive_the_broker() -> None:
    """Keep a worker whose broker goes away while it works.

    kombu 5.7 then acknowledges messages, or hands them back, over a connection that is gone, and the worker ends with
    an AttributeError. Left alone they come back after the visibility timeout, and ours with the next sweep.
    """
    for name in ("ack", "restore_unacked_once"):
        setattr(QoS, name, _if_connected(getattr(QoS, name)))


def _if_connected(method: Callable[..., None]) -> Callable[..., None]:
    @wraps(method)
    def attempt(self: QoS, *args: Any, **kwargs: Any) -> None:
        with suppress(AttributeError):
            method(self, *args, **kwargs)

    return attempt


def _own_app() -> Celery:
    app = Celery("evaluations")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.add_defaults(celery_defaults)
    if not getattr(settings, "CELERY_BROKER_URL", None):
        url, options = embedded_broker(data_dir() / "broker")
        app.conf.update(broker_url=url, broker_transport_options=options)
    app.set_default()
    app.autodiscover_tasks()
    return app
