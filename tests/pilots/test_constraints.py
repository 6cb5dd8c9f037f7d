"""What the database itself refuses, whoever asks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from pilots.enums import EventKind
from pilots.models import EventAttachment, FollowUp, Pilot, PilotEvent, Spell
from tests import factories as make

pytestmark = pytest.mark.django_db


def _event(pilot: Pilot, **fields: Any) -> PilotEvent:
    given = {
        "pilot": pilot,
        "seq": 99,
        "kind": EventKind.FOLLOW_UP,
        "occurred_at": make.NOW,
        "recorded_at": make.NOW,
        "actor": "ana",
        "source": "web",
        "digest": "d" * 64,
    }
    return PilotEvent(**{**given, **fields})


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"kind": "moved"}, "event_kind_known"),
        ({"kind": "rollback"}, "rollback_has_reason"),
        ({"kind": "superseded"}, "superseded_names_model"),
        ({"kind": "corrected"}, "correction_names_event"),
        ({"traffic_share": Decimal("1.1")}, "event_share_is_a_share"),
        ({"seq": 1}, r"pilots_pilotevent\.seq|event_seq_once"),
        ({"digest": "first"}, r"pilots_pilotevent\.digest|event_once"),
    ],
)
def test_an_event_that_breaks_a_rule_is_not_stored(fields: dict[str, Any], constraint: str) -> None:
    pilot = make.switched_pilot()
    if fields.get("digest") == "first":
        fields = {"digest": pilot.events.get(seq=1).digest}
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        _event(pilot, **fields).save()
    _event(pilot).save()


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"status": "paused"}, "pilot_status_known"),
        ({"candidate": F("incumbent")}, "pilot_two_models"),
        ({"traffic_share": Decimal("-0.1")}, "pilot_share_is_a_share"),
    ],
)
def test_a_pilot_that_breaks_a_rule_is_not_stored(fields: dict[str, Any], constraint: str) -> None:
    pilot = make.pilot()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Pilot.objects.filter(pk=pilot.pk).update(**fields)


def test_a_spell_does_not_end_before_it_starts_and_is_there_once() -> None:
    pilot = make.switched_pilot()
    with pytest.raises(IntegrityError, match="spell_ends_after_start"), transaction.atomic():
        Spell.objects.filter(pilot=pilot).update(ended_on=date(2026, 3, 1))
    spell = Spell.objects.get(pilot=pilot)
    spell.pk = None
    with (
        pytest.raises(
            IntegrityError,
            match=r"pilots_spell\.number|spell_number_once",
        ),
        transaction.atomic(),
    ):
        spell.save()
    due = FollowUp.objects.filter(pilot=pilot).first()
    assert due is not None
    due.pk = None
    with (
        pytest.raises(IntegrityError, match=r"pilots_followup\.pilot_id|follow_up_once"),
        transaction.atomic(),
    ):
        due.save()


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [({"kind": "letter"}, "attachment_kind_known"), ({"reference": ""}, "attachment_not_empty")],
)
def test_an_attachment_that_breaks_a_rule_is_not_stored(fields: dict[str, str], constraint: str) -> None:
    event = make.switched_pilot().events.get(seq=1)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        EventAttachment.objects.create(event=event, **{"kind": "note", "reference": "x", **fields})
