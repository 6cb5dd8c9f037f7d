"""Teams, their people, what they agreed to share, and their workloads.

Public surface: ``save_team``, ``set_member``, ``ensure_user``, ``agree_data``, ``end_data_agreement``,
``save_workload``. Each returns its row and a flag: True created, False changed, None unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from msgspec import UNSET

from evaluations.enums import Purpose, TeamRole
from evaluations.models import DataAgreement, Membership, ModelVersion, Team, Vendor, Workload
from evaluations.services import audit
from evaluations.services.errors import Conflict, Refused
from evaluations.services.saving import Maybe, fits, save_row

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

CURRENCY = re.compile(r"[A-Z]{3}")
DAYS_AT_MOST = 36_500

audit.register_actions({"membership.changed": "set the role of a member of", "user.created": "added user"})


@transaction.atomic
def save_team(
    *,
    slug: str,
    name: Maybe[str | None] = UNSET,
    monthly_cap: Maybe[tuple[Decimal, str] | None] = UNSET,
    second_person: Maybe[bool] = UNSET,
    version: int | None = None,
    by: audit.Actor,
    at: datetime,
) -> tuple[Team, bool | None]:
    """Create or change a team; ``monthly_cap`` is amount and currency, None = no cap beyond each run's own;
    ``second_person`` asks for somebody else's approval of every decision from now on.

    Raises ``Refused``; ``Conflict`` when ``version`` is not the stored one.
    """
    values: dict[str, Any] = {"name": name, "second_person": second_person}
    if monthly_cap is None:
        values |= {"monthly_cap_amount": None, "monthly_cap_currency": None}
    elif monthly_cap is not UNSET:
        amount, currency = monthly_cap
        if not (amount.is_finite() and amount > 0):
            raise Refused("must be above 0", field="monthly_cap.amount")
        check_currency(currency, field="monthly_cap.currency")
        values |= {"monthly_cap_amount": amount, "monthly_cap_currency": currency}
    saved = save_row(Team, key={"slug": slug}, values=values, defaults={"name": slug}, version=version)
    if saved.created is not None:
        action = "team.created" if saved.created else "team.changed"
        _audit(saved.row, saved.row, action, by=by, at=at, data=saved.changes)
    return saved.row, saved.created


def check_currency(code: str, *, field: str) -> None:
    if not CURRENCY.fullmatch(code):
        raise Refused(f"{code!r} is not a currency code of three capital letters", field=field)


@transaction.atomic
def ensure_user(*, username: str, by: audit.Actor, at: datetime) -> tuple[AbstractUser, bool | None]:
    """The user called ``username``; an unknown one is created without a usable password. Raises ``Refused``."""
    model: Any = get_user_model()
    user = model.objects.filter(**{model.USERNAME_FIELD: username}).first()
    if user is not None:
        return user, None
    user = model(**{model.USERNAME_FIELD: username})
    user.set_unusable_password()
    fits(user)
    user.save(force_insert=True)
    audit.record(
        by=by, at=at, action="user.created", object_type="user", object_id=user.pk, object_label=user.get_username()
    )
    return user, True


@transaction.atomic
def set_member(
    *,
    team: Team,
    username: str,
    role: Maybe[TeamRole | None] = UNSET,
    may_read_content: Maybe[bool | None] = UNSET,
    by: audit.Actor,
    at: datetime,
) -> tuple[Membership, bool | None]:
    """Add somebody to the team, or change their role or right to read content. Raises ``Refused``."""
    user, _ = ensure_user(username=username, by=by, at=at)
    saved = save_row(
        Membership, key={"team": team, "user": user}, values={"role": role, "may_read_content": may_read_content}
    )
    if saved.created is not None:
        data = {
            "user": user.get_username(),
            "role": str(saved.row.role),
            "may_read_content": saved.row.may_read_content,
        }
        _audit(team, team, "membership.changed", by=by, at=at, data=data)
    return saved.row, saved.created


@transaction.atomic
def agree_data(
    *,
    team: Team,
    vendors: Sequence[str],
    regions: Sequence[str],
    purposes: Sequence[Purpose],
    expires_on: date | None,
    keep_content_days: int | None = None,
    by: audit.Actor,
    at: datetime,
) -> tuple[DataAgreement, bool | None]:
    """Put an agreement in force; the former one ends now. The same content again changes nothing.

    ``vendors`` are slugs, ``regions`` names as on endpoints ("*": any, also unknown), ``expires_on`` is the last day
    in force, ``keep_content_days`` how long prompts and answers are kept after capture (None: as long as the site's).
    Raises ``Refused`` for an unknown vendor or purpose and for less than a day, ``Conflict`` when somebody else was
    faster.
    """
    agreed = {
        "vendors": list(dict.fromkeys(vendors)),
        "regions": list(dict.fromkeys(regions)),
        "purposes": list(dict.fromkeys(str(purpose) for purpose in purposes)),
        "expires_on": expires_on,
        "keep_content_days": keep_content_days,
    }
    _check_agreement(vendors, regions, purposes)
    if keep_content_days is not None and not 1 <= keep_content_days <= DAYS_AT_MOST:
        raise Refused(f"must be between 1 and {DAYS_AT_MOST:,} days", field="keep_content_days")
    former = DataAgreement.objects.filter(team=team, ended_at__isnull=True).first()
    if former is not None:
        if all(_same(getattr(former, name), value) for name, value in agreed.items()):
            return former, None
        _end(former, at)
    try:
        with transaction.atomic():
            agreement = DataAgreement.objects.create(team=team, agreed_at=at, **agreed)
    except IntegrityError:
        raise Conflict("somebody else has just recorded an agreement") from None
    data = {**agreed, "expires_on": None if expires_on is None else expires_on.isoformat()}
    _audit(team, agreement, "data_agreement.agreed", by=by, at=at, data=data)
    return agreement, former is None


def _check_agreement(vendors: Sequence[str], regions: Sequence[str], purposes: Sequence[Purpose]) -> None:
    known = set(Vendor.objects.filter(slug__in=vendors).values_list("slug", flat=True))
    for index, vendor in enumerate(vendors):
        if vendor not in known:
            raise Refused(f"unknown vendor {vendor}", field=f"vendors[{index}]")
    for index, region in enumerate(regions):
        if not region.strip():
            raise Refused("is empty", field=f"regions[{index}]")
    for index, purpose in enumerate(purposes):
        if purpose not in list(Purpose):
            raise Refused(f"{purpose!r} is not one of {', '.join(Purpose)}", field=f"purposes[{index}]")


def _same(stored: Any, value: Any) -> bool:
    return set(stored) == set(value) if isinstance(value, list) else bool(stored == value)


def _end(agreement: DataAgreement, at: datetime) -> None:
    if not DataAgreement.objects.filter(pk=agreement.pk, ended_at__isnull=True).update(ended_at=at):
        raise Conflict("somebody else has just ended the agreement")


@transaction.atomic
def end_data_agreement(*, team: Team, by: audit.Actor, at: datetime) -> tuple[DataAgreement | None, bool | None]:
    """Revoke: from now on no sample of the team may be sent anywhere. Without an agreement nothing changes."""
    agreement = DataAgreement.objects.filter(team=team, ended_at__isnull=True).first()
    if agreement is None:
        return None, None
    _end(agreement, at)
    agreement.ended_at = at
    _audit(team, agreement, "data_agreement.ended", by=by, at=at)
    return agreement, False


@transaction.atomic
def save_workload(
    *,
    slug: str,
    team: Team,
    name: Maybe[str | None] = UNSET,
    task_type: Maybe[str | None] = UNSET,
    monthly_requests: Maybe[int | None] = UNSET,
    runs_on: Maybe[ModelVersion | None] = UNSET,
    version: int | None = None,
    by: audit.Actor,
    at: datetime,
) -> tuple[Workload, bool | None]:
    """Create or change a workload; ``runs_on`` is the model in production now, None = unknown.

    Raises ``Refused``, also for moving it to another team: its samples were captured under that team's agreement.
    """
    stored = Workload.objects.filter(slug=slug).select_related("team").first()
    if stored is not None and stored.team_id != team.pk:
        raise Refused(f"workload {slug} belongs to team {stored.team.slug} and stays there", field="team")
    values = {"name": name, "task_type": task_type, "monthly_requests": monthly_requests, "runs_on": runs_on}
    saved = save_row(
        Workload, key={"slug": slug}, values=values, defaults={"team": team, "name": slug}, version=version
    )
    if saved.created is not None:
        action = "workload.created" if saved.created else "workload.changed"
        _audit(team, saved.row, action, by=by, at=at, data=saved.changes)
    return saved.row, saved.created


def _audit(
    team: Team,
    row: Team | DataAgreement | Workload,
    action: str,
    *,
    by: audit.Actor,
    at: datetime,
    data: Mapping[str, Any] | None = None,
) -> None:
    audit.record(
        by=by,
        at=at,
        action=action,
        object_type=row._meta.model_name or "",
        object_id=row.pk,
        object_label=team.slug if isinstance(row, DataAgreement) else row.slug,
        team=team,
        data=data,
    )
