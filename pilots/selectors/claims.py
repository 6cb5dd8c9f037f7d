"""What vendors say of their models, against what our replays found. Public surface: ``claims``, ``ClaimsReport``,
``ClaimRow``, ``Bearing``, ``ClaimVerdict``, ``TESTS``, ``kind_of``.

A claim is decided by the agreed criteria of the pilots that have the model as their candidate, never by advisory ones:
contradicted by one that is worse; supported where there is one, none is worse and all that are decided are better or
non-inferior; else there is not enough evidence. What no replay can show, such as how a model was trained, is never
supported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Q, QuerySet

from evaluations.enums import GATES, Choice, Verdict
from pilots.enums import ClaimKind
from pilots.models import Claim, Pilot
from pilots.selectors.evidence import CriterionRow, criterion_rows
from pilots.selectors.evidence_report import PilotEvidence, evidence
from pilots.selectors.filters import ReportFilters


class ClaimVerdict(Choice):
    SUPPORTED = "supported", "supported"
    CONTRADICTED = "contradicted", "contradicted"
    NOT_ENOUGH = "not_enough_evidence", "not enough evidence"
    NOT_TESTABLE = "not_testable", "not testable by replay"


TESTS: Mapping[ClaimKind, str] = {
    ClaimKind.QUALITY: "The agreed scores of the candidate, against the incumbent on the same requests",
    ClaimKind.COST: "The agreed cost ratio of candidate to incumbent",
    ClaimKind.SPEED: "The agreed latency and time to first token of the candidate, against the incumbent",
    ClaimKind.RELIABILITY: "The agreed failure rate of the candidate, against the incumbent",
    ClaimKind.SAFETY: "None: replays of production requests do not probe for it",
    ClaimKind.PROVENANCE: "None: no answer shows how a model was trained",
}
_UNTESTABLE = frozenset({ClaimKind.SAFETY, ClaimKind.PROVENANCE})
_DECIDED = frozenset({Verdict.BETTER, Verdict.NON_INFERIOR, Verdict.WORSE})


@dataclass(frozen=True, slots=True)
class Bearing:
    """A pilot's criterion that bears on a claim."""

    evidence: PilotEvidence
    criterion: CriterionRow


@dataclass(frozen=True, slots=True)
class ClaimRow:
    id: int
    model: str  # slug
    vendor: str  # slug
    kind: ClaimKind
    words: str  # exact
    source: str  # '': not said
    stated_on: date
    verdict: ClaimVerdict
    bearings: tuple[Bearing, ...]

    def to_document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "model": self.model,
            "vendor": self.vendor,
            "kind": self.kind.value,
            "words": self.words,
            "source": self.source,
            "stated_on": self.stated_on.isoformat(),
            "test": TESTS[self.kind],
            "verdict": self.verdict.value,
            "evidence": [
                {
                    "pilot": bearing.evidence.pilot,
                    "run": bearing.evidence.run,
                    "metric": bearing.criterion.metric,
                    "verdict": bearing.criterion.verdict.value,
                }
                for bearing in self.bearings
            ],
        }


@dataclass(frozen=True, slots=True)
class ClaimsReport:
    filters: ReportFilters
    claims: tuple[ClaimRow, ...]

    def to_document(self) -> dict[str, Any]:
        return {
            "as_of": self.filters.as_of.isoformat(),
            "known_at": self.filters.known_at.isoformat(),
            "filters": self.filters.to_document(),
            "claims": [claim.to_document() for claim in self.claims],
        }


def claims(filters: ReportFilters, pilots: QuerySet[Pilot] | None = None) -> ClaimsReport:
    """Every claim stated by the report's day about the models that the filters leave. A constant number of queries."""
    said = Claim.objects.filter(stated_on__lte=filters.as_of).select_related("model__vendor")
    if filters.vendor:
        said = said.filter(model__vendor__slug__in=filters.vendor)
    if filters.candidate or filters.incumbent:
        said = said.filter(Q(model__slug__in=filters.candidate) | Q(model__slug__in=filters.incumbent))
    read = [pilot for pilot in evidence(filters, pilots).pilots if pilot.run is not None]
    found = {pilot.pilot: criterion_rows(pilot.comparisons) for pilot in read}
    rows = []
    for claim in said.order_by("model__slug", "stated_on", "pk"):
        bearings = tuple(
            Bearing(pilot, row)
            for pilot in read
            if pilot.candidate == claim.model.slug
            for row in found[pilot.pilot]
            if row.role in GATES and kind_of(row.metric) is claim.kind
        )
        rows.append(
            ClaimRow(
                id=claim.pk,
                model=claim.model.slug,
                vendor=claim.model.vendor.slug,
                kind=claim.kind,
                words=claim.words,
                source=claim.source,
                stated_on=claim.stated_on,
                verdict=_verdict(claim.kind, [bearing.criterion.verdict for bearing in bearings]),
                bearings=bearings,
            )
        )
    return ClaimsReport(filters, tuple(rows))


def kind_of(metric: str) -> ClaimKind:
    """What a criterion on ``metric`` tells of a model."""
    if metric == "failure_rate":
        return ClaimKind.RELIABILITY
    if metric.startswith("cost_"):
        return ClaimKind.COST
    return ClaimKind.SPEED if metric.endswith("_ms") else ClaimKind.QUALITY


def _verdict(kind: ClaimKind, verdicts: Sequence[Verdict]) -> ClaimVerdict:
    if kind in _UNTESTABLE:
        return ClaimVerdict.NOT_TESTABLE
    decided = _DECIDED.intersection(verdicts)
    if Verdict.WORSE in decided:
        return ClaimVerdict.CONTRADICTED
    return ClaimVerdict.SUPPORTED if decided else ClaimVerdict.NOT_ENOUGH
