"""The storey above as a Django app."""

import time

from django.apps import AppConfig

STARTED_AT = time.monotonic()  # of this process, by the clock that nobody sets
# Days are what it counts; so soon after a start, or a change, somebody hears of it.
REMINDER_SECONDS = 60


class PilotsConfig(AppConfig):
    name = "pilots"
    verbose_name = "Pilots"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from evaluations.celery_app import tick
        from pilots import receivers, tasks  # noqa: F401 - connects the engine's signal, registers the tasks

        # The words of everything that is audited here, for whoever reads the audit before the doors were used.
        from pilots.services import (  # noqa: F401
            appending,
            attention,
            brought,
            claims,
            deliveries,
            end_of_life,
            exports,
            history_import,
            lifecycle,
            notice_settings,
            schedules,
            tokens,
            traffic,
            traffic_readings,
            traffic_rules,
            webhooks,
        )

        tick("pilots.tasks.tick_schedules", name="pilots-schedules")
        tick("pilots.tasks.tick_exports", name="pilots-exports")
        tick("pilots.tasks.tick_notices", name="pilots-notices")
        tick("pilots.tasks.tick_reminders", name="pilots-reminders", seconds=REMINDER_SECONDS)
        tick("pilots.tasks.tick_uploads", name="pilots-files")
        tick("pilots.tasks.tick_comparisons", name="pilots-comparisons", seconds=REMINDER_SECONDS)
        tick("pilots.tasks.tick_traffic", name="pilots-traffic")
        tick("pilots.tasks.tick_forecasts", name="pilots-forecasts")
