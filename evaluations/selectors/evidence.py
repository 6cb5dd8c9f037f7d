"""What all runs of a plan version say, sample by sample.

Public surface: ``Evidence``, ``ArmEvidence``, ``evidence_for``.

A sample that was answered several times counts once, with its mean. A vendor's failure counts as a failed answer; an
outcome of our own making leaves the sample out of the counted comparison.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q

from evaluations.enums import LEFT_OUT, ArmRole, Outcome, RunStatus
from evaluations.models import Completion, PlanVersion, ReplayRun, Sample, ScoreRow

ENDED = (RunStatus.FINISHED, RunStatus.STOPPED_BY_BUDGET, RunStatus.CANCELLED, RunStatus.FAILED)


@dataclass(slots=True)
class ArmEvidence:
    """One arm's answers, aligned with ``Evidence.samples``. None = left out, unscored or unknown; never zero."""

    failure: list[float | None] = field(default_factory=list)  # share of counted repeats that the vendor failed
    scores: dict[str, list[float | None]] = field(default_factory=dict)  # a failed answer scores 0
    answered_scores: dict[str, list[float | None]] = field(default_factory=dict)  # only answers, per protocol
    cost: list[float | None] = field(default_factory=list)  # money per repeat
    input_tokens: list[float | None] = field(default_factory=list)  # of every kind, per repeat
    output_tokens: list[float | None] = field(default_factory=list)
    latency_ms: list[float | None] = field(default_factory=list)  # inf: failed
    ttft_ms: list[float | None] = field(default_factory=list)


@dataclass(slots=True)
class Evidence:
    """Everything a comparison needs; ``samples`` are ids in ascending order."""

    samples: list[int]
    clusters: list[str]
    incumbent: ArmEvidence
    candidate: ArmEvidence

    @property
    def n(self) -> int:
        return len(self.samples)


@dataclass(slots=True)
class _Answer:
    outcome: Outcome
    cost: float | None
    input_tokens: float | None
    output_tokens: float | None
    latency_ms: float | None
    ttft_ms: float | None
    scores: dict[str, float | None]


def evidence_for(version: PlanVersion, *, at_end_of: ReplayRun | None = None) -> Evidence:
    """The evidence of every ended run of ``version``, and of ``at_end_of`` which is about to end."""
    runs = Q(arm__run__plan_version=version) & Q(arm__run__status__in=ENDED)
    if at_end_of is not None:
        runs |= Q(arm__run=at_end_of)
    keys = {(entry["key"], entry["version"]) for entry in version.document["scorers"]}
    scores: dict[int, dict[str, float | None]] = defaultdict(dict)
    stored = ScoreRow.objects.filter(completion__in=Completion.objects.filter(runs).values("id"))
    for completion_id, key, scorer_version, value in stored.values_list(
        "completion_id", "key", "scorer_version", "value"
    ).iterator(chunk_size=5000):
        if (key, scorer_version) in keys:
            scores[completion_id][key] = value
    answers: dict[int, dict[ArmRole, list[_Answer]]] = {}
    rows = Completion.objects.filter(runs).order_by("sample_id", "arm__run_id", "repeat")
    for pk, sample_id, role, outcome, cost, uncached, read, written, output, latency_ms, ttft_ms in rows.values_list(
        "id",
        "sample_id",
        "arm__role",
        "outcome",
        "cost_amount",
        "input_uncached_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_total_tokens",
        "latency_ms",
        "ttft_ms",
    ).iterator(chunk_size=5000):
        by_role = answers.setdefault(sample_id, {ArmRole.INCUMBENT: [], ArmRole.CANDIDATE: []})
        nothing = 0 if cost == 0 else None  # what was refused at the door has used no tokens
        by_role[ArmRole(role)].append(
            _Answer(
                outcome=Outcome(outcome),
                cost=None if cost is None else float(cost),
                input_tokens=nothing if uncached is None else uncached + (read or 0) + (written or 0),
                output_tokens=nothing if output is None else output,
                latency_ms=latency_ms,
                ttft_ms=ttft_ms,
                scores=scores.get(pk, {}),
            )
        )
    clusters = dict(Sample.objects.filter(pk__in=answers).values_list("id", "cluster")) if answers else {}
    evidence = Evidence(
        samples=list(answers),
        clusters=[clusters[pk] or f"sample {pk}" for pk in answers],
        incumbent=ArmEvidence(),
        candidate=ArmEvidence(),
    )
    metrics = [key for key, _ in sorted(keys)]
    for arm in (evidence.incumbent, evidence.candidate):
        arm.scores = {key: [] for key in metrics}
        arm.answered_scores = {key: [] for key in metrics}
    for arm, role in ((evidence.incumbent, ArmRole.INCUMBENT), (evidence.candidate, ArmRole.CANDIDATE)):
        for by_role in answers.values():
            _add(arm, by_role[role], metrics)
    return evidence


def _add(arm: ArmEvidence, answers: list[_Answer], metrics: Iterable[str]) -> None:
    counted = [answer for answer in answers if answer.outcome not in LEFT_OUT]
    failed = [_failed(answer) for answer in counted]
    arm.failure.append(_mean([float(flag) for flag in failed]))
    for key in metrics:
        given = [answer.scores.get(key) for answer, flag in zip(counted, failed, strict=True) if not flag]
        arm.answered_scores[key].append(_mean(given))
        arm.scores[key].append(
            _mean([0.0 if flag else answer.scores.get(key) for answer, flag in zip(counted, failed, strict=True)])
        )
    arm.cost.append(_mean([answer.cost for answer in counted]))
    arm.input_tokens.append(_mean([answer.input_tokens for answer in counted]))
    arm.output_tokens.append(_mean([answer.output_tokens for answer in counted]))
    arm.latency_ms.append(
        _mean([math.inf if flag else answer.latency_ms for answer, flag in zip(counted, failed, strict=True)])
    )
    arm.ttft_ms.append(
        _mean([math.inf if flag else answer.ttft_ms for answer, flag in zip(counted, failed, strict=True)])
    )


def _failed(answer: _Answer) -> bool:
    """A vendor's failure, unless a scorer said that it judges such answers (a cut one, for example)."""
    return answer.outcome is not Outcome.OK and not any(value is not None for value in answer.scores.values())


def _mean(values: list[float | None]) -> float | None:
    """None if there is nothing, or if anything is unknown."""
    known = [value for value in values if value is not None]
    if not values or len(known) != len(values):
        return None
    return math.fsum(known) / len(known)
