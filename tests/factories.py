"""Ready objects for tests. Pilots walk their life through the services; the catalogue is written directly.

Every function fills what the test does not name; names are unique within a test run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from evaluations.capture.usage import UsageRow
from evaluations.enums import AuditSource, TeamRole
from evaluations.models import Membership, ModelVersion, Team, Vendor, Workload
from evaluations.services.audit import Actor
from pilots.enums import Reason
from pilots.models import Pilot
from pilots.services import lifecycle
from pilots.services.traffic import TrafficReport, record_traffic

_numbers = count(1)
# The present of the tests: everything else happened before it.
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
CUTOVER_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def name(stem: str) -> str:
    return f"{stem}-{next(_numbers)}"


def user(username: str = "", **fields: Any) -> User:
    return get_user_model().objects.create_user(username or name("person"), password="secret", **fields)


def actor(username: str = "", source: AuditSource = AuditSource.WEB) -> Actor:
    return Actor(name=username or "ana", source=source)


def team(slug: str = "", **fields: Any) -> Team:
    slug = slug or name("team")
    return Team.objects.get_or_create(slug=slug, defaults={"name": slug.replace("-", " ").title(), **fields})[0]


def member(of: Team, username: str = "", role: TeamRole = TeamRole.MANAGER, **fields: Any) -> User:
    person = user(username)
    Membership.objects.create(team=of, user=person, role=role, **fields)
    return person


def vendor(slug: str = "openai") -> Vendor:
    name = {"openai": "OpenAI"}.get(slug, slug.title())
    return Vendor.objects.get_or_create(slug=slug, defaults={"name": name})[0]


def model(slug: str = "", vendor_slug: str = "openai", **fields: Any) -> ModelVersion:
    slug = slug or name("model")
    return ModelVersion.objects.get_or_create(slug=slug, defaults={"vendor": vendor(vendor_slug), **fields})[0]


def workload(slug: str = "", team_slug: str = "", **fields: Any) -> Workload:
    slug = slug or name("workload")
    defaults = {"team": team(team_slug), "name": slug.replace("-", " ").capitalize(), **fields}
    return Workload.objects.get_or_create(slug=slug, defaults=defaults)[0]


def pilot(slug: str = "", at: datetime | None = None, **fields: Any) -> Pilot:
    """An open pilot from gpt-4 (openai) to mai-thinking-1 (microsoft), opened 60 days before the usual cutover."""
    given = {
        "by": actor(),
        "at": at or CUTOVER_AT - timedelta(days=60),
        "slug": slug or name("pilot"),
        **fields,
    }
    given.setdefault("incumbent", model("gpt-4", family="gpt"))
    given.setdefault("candidate", model("mai-thinking-1", "microsoft", family="mai-thinking"))
    if "workload" not in given:
        given["workload"] = workload()
    return lifecycle.open_pilot(**given)


def switched_pilot(slug: str = "", cutover_at: datetime = CUTOVER_AT, **fields: Any) -> Pilot:
    """A pilot on its candidate since ``cutover_at``."""
    opened = pilot(slug, at=cutover_at - timedelta(days=60), **fields)
    lifecycle.record_cutover(pilot=opened, by=actor(), at=cutover_at)
    return opened


def rolled_back_pilot(slug: str = "", days: int = 40, reason: Reason = Reason.QUALITY, **fields: Any) -> Pilot:
    """A pilot that went back to its incumbent ``days`` after the usual cutover."""
    switched = switched_pilot(slug, **fields)
    lifecycle.record_rollback(
        pilot=switched,
        by=actor(),
        at=CUTOVER_AT + timedelta(days=days),
        reason=reason,
        attachments=["incident:INC-4711"],
    )
    return switched


def day(number: int) -> datetime:
    """Noon, UTC, ``number`` days after the usual cutover."""
    return CUTOVER_AT.replace(hour=12) + timedelta(days=number)


def traffic(
    of: Workload, on: date | str, requests: Mapping[str, int], at: datetime = NOW, **said: Any
) -> TrafficReport:
    """Observed usage of a day: requests by the model's slug."""
    day = date.fromisoformat(on) if isinstance(on, str) else on
    rows = [UsageRow(line, of.slug, (), slug, day, n, **said) for line, (slug, n) in enumerate(requests.items(), 1)]
    return record_traffic(rows=rows, by=actor(), at=at)
