"""Create or change one row the way every service does. Public surface: ``save_row``, ``Saved``, ``Maybe``, ``fits``.

``UNSET`` leaves the stored value, ``None`` clears it: to NULL where the column allows it, else to its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import F
from msgspec import UNSET, UnsetType

from evaluations.services.errors import Conflict, Refused

T = TypeVar("T")
M = TypeVar("M", bound=models.Model)
Maybe: TypeAlias = T | UnsetType


@dataclass(frozen=True, slots=True)
class Saved(Generic[M]):
    row: M
    created: bool | None  # True: created, False: changed, None: unchanged
    changes: Mapping[str, Any]  # field -> {"from", "to"}, or its value where the row is new; fit for JSON


def save_row(
    model: type[M],
    *,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> Saved[M]:
    """The row that ``key`` names, created or changed so that it holds ``values``; ``defaults`` count on creation.

    Runs inside the caller's transaction. ``version`` is the one that the caller saw, where it saw one. Raises
    ``Refused`` naming the field that does not fit, ``Conflict`` when somebody else was faster.
    """
    standard = defaults or {}
    given = {
        name: _settled(model._meta.get_field(name), value, standard)
        for name, value in values.items()
        if value is not UNSET
    }
    row = model._default_manager.filter(**key).first()
    if row is None:
        row = model(**{**standard, **given, **key})
        fits(row)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise Conflict("somebody else has just created it") from None
        return Saved(row, True, {name: _plain(value) for name, value in given.items()})
    if version is not None and version != getattr(row, "version", version):
        raise Conflict("somebody else has changed it since it was read")
    before = {name: _stored(row, name) for name in given}
    for name, value in given.items():
        setattr(row, name, value)
    changed = [name for name in given if _stored(row, name) != before[name]]
    if not changed:
        return Saved(row, None, {})
    fits(row)
    _compare_and_set(row, changed, before)
    row.refresh_from_db(fields=[*changed, *(["version"] if hasattr(row, "version") else [])])
    return Saved(row, False, {name: {"from": _plain(before[name]), "to": _plain(given[name])} for name in changed})


def fits(row: models.Model) -> None:
    """Raise ``Refused`` naming the first field whose value the table would not take."""
    try:
        row.full_clean()
    except ValidationError as error:
        field, errors = next(iter(error.error_dict.items()))
        messages = ("is empty" if one.code in ("blank", "null") else " ".join(one.messages) for one in errors)
        raise Refused(" ".join(messages), field="" if field == NON_FIELD_ERRORS else field) from None


def _compare_and_set(row: models.Model, changed: list[str], before: Mapping[str, Any]) -> None:
    """One UPDATE that takes effect only if nobody changed the row since it was read."""
    unchanged = type(row)._default_manager.filter(pk=row.pk)
    new = {name: getattr(row, name) for name in changed}
    if hasattr(row, "version"):
        taken = unchanged.filter(version=row.version).update(**new, version=F("version") + 1)
    else:
        taken = unchanged.filter(**{name: before[name] for name in changed}).update(**new)
    if not taken:
        raise Conflict("somebody else has just changed it")


def _settled(field: Any, value: Any, defaults: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        value = value.strip()
    if value is None and not field.null:
        return defaults[field.name] if field.name in defaults else field.get_default()
    return value


def _stored(row: models.Model, name: str) -> Any:
    field: Any = row._meta.get_field(name)
    value = getattr(row, field.attname)
    try:
        return value if field.is_relation else field.to_python(value)
    except ValidationError:  # ``fits`` says so with the field's name
        return value


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, models.Model) else msgspec.to_builtins(value)
