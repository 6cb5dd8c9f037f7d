from __future__ import annotations

from typing import Any

import pytest
from django.db import models
from msgspec import UNSET

from evaluations.models import Team, Vendor
from evaluations.services import saving
from evaluations.services.errors import Conflict, Refused
from evaluations.services.saving import save_row

pytestmark = pytest.mark.django_db


def test_absent_leaves_null_clears_and_defaults_count_on_creation() -> None:
    saved = save_row(Team, key={"slug": "a"}, values={"name": UNSET}, defaults={"name": "A"})
    assert (saved.created, saved.row.name, saved.changes) == (True, "A", {})
    saved = save_row(Team, key={"slug": "a"}, values={"name": "B"}, defaults={"name": "A"})
    assert (saved.created, saved.row.name, saved.changes) == (False, "B", {"name": {"from": "A", "to": "B"}})
    assert save_row(Team, key={"slug": "a"}, values={"name": UNSET}, defaults={"name": "A"}).created is None
    saved = save_row(Team, key={"slug": "a"}, values={"name": None}, defaults={"name": "A"})
    assert (saved.created, saved.row.name, saved.row.version) == (False, "A", 3)


def test_blanks_around_text_are_not_a_change() -> None:
    save_row(Vendor, key={"slug": "a"}, values={"name": "A"})
    assert save_row(Vendor, key={"slug": "a"}, values={"name": " A "}).created is None


@pytest.mark.parametrize(("model", "other"), [(Team, {"version": 2}), (Vendor, {"name": "theirs"})])
def test_a_change_between_read_and_write_is_a_conflict(
    monkeypatch: pytest.MonkeyPatch, model: type[models.Model], other: dict[str, Any]
) -> None:
    save_row(model, key={"slug": "a"}, values={"name": "A"})
    checked = saving.fits

    def meanwhile(row: models.Model) -> None:
        checked(row)
        model._default_manager.update(**other)

    monkeypatch.setattr(saving, "fits", meanwhile)
    with pytest.raises(Conflict, match="somebody else has just changed it"):
        save_row(model, key={"slug": "a"}, values={"name": "ours"})
    assert model._default_manager.get(slug="a").name == other.get("name", "A")  # type: ignore[attr-defined]


def test_a_row_created_meanwhile_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "fits", lambda row: Vendor.objects.create(slug="a", name="theirs"))
    with pytest.raises(Conflict, match="somebody else has just created it"):
        save_row(Vendor, key={"slug": "a"}, values={"name": "ours"})
    assert Vendor.objects.get().name == "theirs"


def test_what_does_not_fit_is_refused_with_its_field() -> None:
    save_row(Vendor, key={"slug": "a"}, values={"name": "A"})
    with pytest.raises(Refused) as refusal:
        save_row(Vendor, key={"slug": "a"}, values={"name": "x" * 201})
    assert refusal.value.field == "name"
    assert Vendor.objects.get().name == "A"
