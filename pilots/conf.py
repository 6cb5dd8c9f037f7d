"""Settings of the pilots app with their defaults. Public surface: ``setting``."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    # Days after a cutover on which somebody confirms what the workload runs on.
    "FOLLOW_UP_DAYS": (30, 60, 90, 180, 365),
    # Asked in vain for so long: whoever was asked is reminded, and then the team's managers are told.
    "FOLLOW_UP_REMIND_AFTER_DAYS": 7,
    "FOLLOW_UP_ESCALATE_AFTER_DAYS": 14,
    # So long the link in the e-mail answers without a sign-in.
    "FOLLOW_UP_LINK_DAYS": 30,
    # Days before a model's retirement on which the teams that use it are warned.
    "RETIREMENT_WARN_DAYS": (180, 120, 90, 60, 30, 7),
    # So long a ramp is counted on between the decision and the day on which the incumbent is no longer needed.
    "RAMP_DAYS": 14,
    # So many samples a night are counted on where a pilot has no schedule.
    "NIGHTLY_SAMPLES": 100,
    # No confirmation this long past a due follow-up: lost to follow-up.
    "LOST_AFTER_DAYS": 60,
    # Days at which retention is read.
    "RETENTION_DAYS": (30, 90, 180, 365),
    # Fewer at risk: the percentage is withheld.
    "MIN_AT_RISK": 5,
    # A cutover this close before an unannounced shutdown counts as forced.
    "FORCED_WITHIN_DAYS": 30,
    # A scheduled replay that starts later than this is late.
    "SLOT_LATE_SECONDS": 600,
    # So long a file that was given out is kept; its record stays for ever. 0: for ever.
    "EXPORT_DAYS": 90,
    # /healthz is red when due work, or the scheduler, has stood still for so long. With the time that a lost worker's
    # lease takes to run out (LEASE_SECONDS) that is within a minute.
    "STALLED_AFTER_SECONDS": 40,
    # Where people reach this site: the beginning of every link in an e-mail.
    "PUBLIC_URL": "http://127.0.0.1:8000",
    # So long an e-mail or a webhook waits after each failed attempt; after one more it is given up.
    "NOTICE_RETRY_SECONDS": (10, 60, 300, 1800, 7200, 21600, 43200, 86400),
    # So long a webhook may take to answer, and each step of a conversation with the mail server.
    "NOTICE_TIMEOUT_SECONDS": 5,
    # Opens /metrics to a scraper that is not on this machine; '': nobody else.
    "METRICS_TOKEN": "",
    # The longest bodies that the API reads: JSON, and samples as lines.
    "API_MAX_BODY_BYTES": 1024 * 1024,
    "API_MAX_SAMPLES_BYTES": 1024 * 1024 * 1024,
    # The largest files that pages take: samples, and histories of past switches.
    "UPLOAD_MAX_BYTES": 1024 * 1024 * 1024,
    "HISTORY_MAX_BYTES": 5 * 1024 * 1024,
}


def setting(name: str) -> Any:
    """``settings.PILOTS_<name>`` if the host sets it, else the default above; ``KeyError`` for an unknown name."""
    from django.conf import settings

    return getattr(settings, f"PILOTS_{name}", DEFAULTS[name])
