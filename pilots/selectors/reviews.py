"""A pilot's blind reviews, and what they say. Public surface: ``pilot_reviews``, ``PilotReviews``, ``Figures``,
``reviewed_version``, ``reviewers_of``, ``NOT_OF_PREFERENCE``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet

from evaluations.enums import ReviewChoice, ReviewState, TeamRole
from evaluations.models import PlanVersion, ReviewBatch, Team
from evaluations.selectors.evidence import ENDED
from evaluations.selectors.review_figures import stored_reviews
from pilots.models import Pilot
from pilots.selectors.evidence import CriterionRow, criterion_rows

# What a comparison document holds that a preference of people, or of a judge, has not.
NOT_OF_PREFERENCE: Mapping[str, Any] = {
    "scale": "difference",
    "ratio": None,
    "max_ratio": None,
    "table": None,
    "harmful_flips": None,
    "beneficial_flips": None,
    "per_protocol": None,
}


@dataclass(frozen=True, slots=True)
class BatchLine:
    pk: int
    plan_version: int
    method: ReviewChoice
    size: int
    answered: int  # samples on which nobody is waited for
    disputed: int
    created_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the closed batches of one way of choosing say together."""

    method: ReviewChoice
    row: CriterionRow
    after_the_fact: bool  # not a criterion of the frozen plan
    document: Mapping[str, Any]

    @property
    def words(self) -> tuple[tuple[str, int], ...]:
        words: Mapping[str, int] = self.document["words"]
        return tuple(words.items())

    @property
    def agreed(self) -> int | None:
        """Samples on which both readers said the same, of ``document.agreement.n``."""
        agreement = self.document["agreement"]
        return None if agreement["agreed"] is None else round(agreement["agreed"] * agreement["n"])


@dataclass(frozen=True, slots=True)
class PilotReviews:
    plan_version: int | None  # the newest with an ended replay; None: nothing to review yet
    batches: tuple[BatchLine, ...]  # of every version, newest first
    figures: tuple[Figures, ...]  # of that version, chosen at random first


def pilot_reviews(pilot: Pilot) -> PilotReviews:
    version = reviewed_version(pilot)
    if version is None:
        return PilotReviews(None, (), ())
    waiting, disputed = Q(items__state=ReviewState.OPEN), Q(items__state=ReviewState.DISPUTED)
    batches = (
        ReviewBatch.objects.filter(plan_version__plan=version.plan_id)
        .select_related("plan_version")
        .annotate(open=Count("items", filter=waiting), disputed=Count("items", filter=disputed))
        .order_by("-id")
    )
    documents = stored_reviews(version)
    return PilotReviews(
        plan_version=version.number,
        batches=tuple(
            BatchLine(
                pk=batch.pk,
                plan_version=batch.plan_version.number,
                method=batch.method,
                size=batch.size,
                answered=batch.size - batch.open,
                disputed=batch.disputed,
                created_at=batch.created_at,
                closed_at=batch.closed_at,
            )
            for batch in batches
        ),
        figures=tuple(_figures(method, documents[method]) for method in ReviewChoice if method in documents),
    )


def _figures(method: ReviewChoice, document: Mapping[str, Any]) -> Figures:
    [row] = criterion_rows([{**NOT_OF_PREFERENCE, **document, "missing": document["unanswered"]}])
    return Figures(method, row, document["after_the_fact"], document)


def reviewed_version(pilot: Pilot) -> PlanVersion | None:
    """The newest version of the pilot's plan whose answers can be read."""
    if pilot.plan_id is None:
        return None
    versions = PlanVersion.objects.filter(plan=pilot.plan_id, runs__status__in=ENDED)
    return versions.select_related("plan__workload__team").order_by("-number").first()


def reviewers_of(team: Team) -> QuerySet[User]:
    """People of the team who may read and judge answers."""
    able = [role.value for role in (TeamRole.REVIEWER, TeamRole.MANAGER, TeamRole.ADMIN)]
    members = Q(team_memberships__team=team, team_memberships__role__in=able, team_memberships__may_read_content=True)
    return get_user_model().objects.filter(members, is_active=True).order_by("username")
