"""The shapes of documents that the engine writes as plain JSON: run, comparison and later reading.

Only described here; tests hold the documents against them.
"""

from __future__ import annotations

from typing import Any, TypedDict

from evaluations.enums import CriterionRole, Decision, JudgeMode, RunStatus, Verdict


class CostDocument(TypedDict):
    amount: str | None  # settled; None: nothing is known
    currency: str
    unknown_calls: int


class TokenSums(TypedDict):
    input_uncached: int | None
    cache_read: int | None
    cache_write: int | None
    output_total: int | None
    output_visible: int | None
    reasoning: int | None


class PercentilesDocument(TypedDict):
    p50: float | None
    p95: float | None


class ParameterChange(TypedDict):
    parameter: str
    action: str
    detail: str
    calls: int


class RunArmDocument(TypedDict):
    endpoint: str | None
    model: str
    recorded: bool
    succeeded: int
    failed: dict[str, int]  # by outcome
    missing: int
    not_permitted: int
    calls: int  # attempts, retries included
    retries: int
    cost: CostDocument
    tokens: TokenSums
    latency_ms: PercentilesDocument
    ttft_ms: PercentilesDocument | None
    changes: list[ParameterChange]


class PassTable(TypedDict):
    both_pass: int
    candidate_only: int
    incumbent_only: int
    neither: int


class ComparisonDocument(TypedDict):
    """One criterion as it was read; None = not computable, or not of this method."""

    metric: str
    scorer: str | None
    role: CriterionRole
    segment: str | None
    n: int
    n_clusters: int | None
    incumbent: float | None
    candidate: float | None
    difference: float | None
    ratio: float | None
    lower: float | None
    upper: float | None
    scale: str  # difference, ratio
    method: str
    margin: float | None
    max_ratio: float | None
    table: PassTable | None
    incumbent_passes: int | None
    candidate_passes: int | None
    incumbent_wilson: list[float] | None
    candidate_wilson: list[float] | None
    newcombe: list[float] | None
    mcnemar_exact_p: float | None
    mcnemar_midp: float | None
    harmful_flips: int | None
    beneficial_flips: int | None
    missing: int
    verdict: Verdict
    reason: str | None
    per_protocol: dict[str, Any] | None
    look: dict[str, Any] | None  # the planned check it was read at; null: every look counts, or the only one
    break_even: dict[str, Any] | None
    sentence: str


class ArmsDocument(TypedDict):
    incumbent: RunArmDocument
    candidate: RunArmDocument


class RunDocument(TypedDict):
    run: int
    pilot: str
    status: RunStatus
    status_reason: str | None
    sample_set: int | None  # None: no new samples
    total: int  # samples x arms x repeats
    done: int
    arms: ArmsDocument
    comparisons: list[ComparisonDocument]
    decision: Decision | None  # None: not ended
    decision_reason: str | None
    checks: str | None  # how far the planned checks of a fixed horizon are, or that they are void
    after_the_look: bool
    not_the_look: bool
    after_the_fact: bool
    period: int  # of the plan version; a drift alarm ends one
    plan_version: int
    plan_digest: str


class MoneyDocument(TypedDict):
    amount: str
    currency: str


class JudgingDocument(TypedDict):
    """What the plan's model judge was asked about a run: no verdict of its own."""

    judging: int
    run: int  # whose answers are judged
    pilot: str
    status: RunStatus
    status_reason: str | None
    mode: JudgeMode
    rubric: str
    judge_version: str  # of the question, and of how its answer is read
    total: int  # answers of the judge, two a sample
    done: int
    judge: RunArmDocument
    budget: MoneyDocument  # its own cap
    figures: dict[str, Any] | None  # of every judging of the plan version at this one's end; None: not ended
    plan_version: int
    plan_digest: str


class ScorerDocument(TypedDict):
    key: str
    name: str
    version: str


class RescoringDocument(TypedDict):
    """A run's answers as a later version of the plan judges them: beside the run's verdict, never in its place."""

    run: int
    plan_version: int
    plan_digest: str
    after_the_fact: bool  # always
    scorers: list[ScorerDocument]
    requested_at: str
    finished_at: str | None  # None: not all is judged yet
    evidence_samples: int | None
    comparisons: list[ComparisonDocument]
    decision: Decision | None
    decision_reason: str | None
