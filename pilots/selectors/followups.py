"""Follow-ups that nobody has answered. Public surface: ``overdue_follow_ups``, ``unanswered_follow_ups``."""

from __future__ import annotations

from datetime import date

from django.db.models import F, QuerySet

from pilots.models import FollowUp, Pilot


def overdue_follow_ups(pilots: QuerySet[Pilot], today: date) -> QuerySet[FollowUp]:
    """Unanswered and past their day, of running periods that nobody has confirmed since."""
    return unanswered_follow_ups(pilots, today).filter(due_on__lt=today)


def unanswered_follow_ups(pilots: QuerySet[Pilot], today: date) -> QuerySet[FollowUp]:
    """The same, with those whose day is today."""
    return FollowUp.objects.filter(
        pilot__in=pilots,
        answered_by=None,
        due_on__lte=today,
        pilot__spells__number=F("spell_number"),
        pilot__spells__ended_on=None,
        pilot__spells__last_confirmed_on__lt=F("due_on"),
    ).exclude(pilot__traffic_reading__confirmed_on__gte=F("due_on"))
