"""What a plan says, as people write it and as it is frozen.

Public surface: ``PlanDefinition`` and its parts, ``check_definition``, ``check_judge``, ``stored_definition``,
``definition_of``, ``frozen_document``, ``frozen_scorers``, ``frozen_judge``, ``without_marks``,
``differ_in_horizon_only``, ``document_digest``, ``check_scorers``, ``METRICS``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from evaluations.enums import GATES, ArmRole, CriterionRole, JudgeMode, Looks
from evaluations.models import Endpoint, Plan
from evaluations.models.fields import normalised
from evaluations.plugins import PluginError
from evaluations.scorers.base import ScorerConfigError
from evaluations.scorers.judge import JUDGE, JUDGE_VERSION
from evaluations.scorers.registry import SCORERS
from evaluations.selectors.judge_figures import JUDGE_METRICS
from evaluations.selectors.review_figures import METRIC as HUMAN_PREFERENCE
from evaluations.services.errors import Refused

# Planned checks of a fixed horizon: more of them, or closer ones, spend next to nothing each.
MOST_LOOKS = 100
SMALLEST_STEP = 0.005  # of the largest number of samples

# Measured on every call, next to what scorers say. True: a ratio candidate / incumbent, lower is better.
METRICS: dict[str, bool] = {
    "cost_per_request": True,
    "cost_per_success": True,
    "latency_p50_ms": True,
    "latency_p95_ms": True,
    "ttft_p95_ms": True,
    "failure_rate": False,
    HUMAN_PREFERENCE: False,  # said by reviewers, later
    **dict.fromkeys(JUDGE_METRICS.values(), False),  # said by the plan's judge, later
}
LONGEST_RUBRIC = 8000  # characters


class ScorerEntry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str  # of the scorer plugin
    key: str = ""  # what criteria call it; '': its name
    config: dict[str, Any] = {}

    @property
    def metric(self) -> str:
        return self.key or self.name


class CriterionEntry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    metric: str
    role: CriterionRole = CriterionRole.PRIMARY
    margin: Decimal | None = None  # largest loss accepted, in the metric's own unit
    max_ratio: Decimal | None = None  # candidate / incumbent, for cost and latency


class BudgetEntry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    amount: Decimal
    currency: str = "USD"
    assume_per_mtok: dict[str, Decimal] | None = None
    max_calls: int | None = None


class JudgeEntry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A model that is asked which of both answers is better, or how good each is."""

    endpoint: str  # its slug; never an arm's model, nor one of an arm's family
    rubric: str  # what it is to judge by, in words
    budget: BudgetEntry  # of its own, for the answers of one replay
    mode: JudgeMode = JudgeMode.PAIRWISE

    @property
    def metric(self) -> str:
        return JUDGE_METRICS[self.mode]


class PlanDefinition(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Everything of a plan but its arms."""

    hypothesis: str = ""
    scorers: list[ScorerEntry] = []
    criteria: list[CriterionEntry] = []
    looks: Looks = Looks.ONE_LOOK
    alpha: Decimal = Decimal("0.05")
    minimum_samples: int = 1
    maximum_samples: int | None = None
    decide_by: date | None = None
    planned_looks: list[int] = []  # sample numbers, ascending, of a planned horizon; the last is maximum_samples
    budget: BudgetEntry | None = None
    judge: JudgeEntry | None = None


def stored_definition(definition: PlanDefinition) -> dict[str, Any]:
    """As a plan keeps it; 0.90 and 0.9 are the same number, however a file writes it."""
    plain: dict[str, Any] = _plain(msgspec.to_builtins(definition, builtin_types=(Decimal, date)))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return f"{normalised(value):f}" if value.is_finite() else str(value)
    return value.isoformat() if isinstance(value, date) else value


def definition_of(plan: Plan) -> PlanDefinition:
    return msgspec.convert(plan.definition, PlanDefinition, strict=False)


def check_definition(definition: PlanDefinition, *, field: str = "plan") -> None:
    """Refuse what could never be judged; the message names the entry at fault."""
    metrics: dict[str, ScorerEntry] = {}
    for index, entry in enumerate(definition.scorers):
        where = f"{field}.scorers[{index}]"
        try:
            SCORERS.get(entry.name).validate(entry.config)
        except PluginError as error:
            raise Refused(str(error), field=f"{where}.name") from None
        except ScorerConfigError as error:
            raise Refused(str(error), field=f"{where}.config") from None
        if entry.metric in metrics or entry.metric in METRICS:
            raise Refused(f"the key {entry.metric!r} is taken", field=f"{where}.key")
        metrics[entry.metric] = entry
    seen = set()
    for index, criterion in enumerate(definition.criteria):
        where = f"{field}.criteria[{index}]"
        if criterion.metric not in metrics and criterion.metric not in METRICS:
            known = ", ".join([*metrics, *METRICS])
            raise Refused(f"unknown metric {criterion.metric!r} (known here: {known})", field=f"{where}.metric")
        if criterion.metric in seen:
            raise Refused(f"{criterion.metric!r} has a criterion already", field=f"{where}.metric")
        seen.add(criterion.metric)
        if criterion.metric == HUMAN_PREFERENCE and criterion.role is not CriterionRole.ADVISORY:
            raise Refused("people judge after a replay has ended: this can only be advisory", field=f"{where}.role")
        if criterion.metric in JUDGE_METRICS.values():
            _check_judge_criterion(criterion, definition.judge, where)
        is_ratio = METRICS.get(criterion.metric, False)
        wanted, other = ("max_ratio", "margin") if is_ratio else ("margin", "max_ratio")
        value = getattr(criterion, wanted)
        if getattr(criterion, other) is not None:
            raise Refused(f"{criterion.metric} takes {wanted}, not {other}", field=f"{where}.{other}")
        if value is None:
            raise Refused(f"{criterion.metric} needs {wanted}", field=f"{where}.{wanted}")
        if not value.is_finite() or value <= 0 or (not is_ratio and value >= 1):
            raise Refused(f"{value} is not a possible {wanted}", field=f"{where}.{wanted}")
    if not definition.alpha.is_finite() or not Decimal(0) < definition.alpha < Decimal("0.5"):
        raise Refused("must lie between 0 and 0.5", field=f"{field}.alpha")
    if definition.minimum_samples < 1:
        raise Refused("must be at least 1", field=f"{field}.minimum_samples")
    if definition.maximum_samples is not None and definition.maximum_samples < definition.minimum_samples:
        raise Refused("is below minimum_samples", field=f"{field}.maximum_samples")
    _check_planned_looks(definition, field=field)
    if definition.budget is not None:
        _check_budget(definition.budget, f"{field}.budget")
    judge = definition.judge
    if judge is not None:
        if not 1 <= len(judge.rubric.strip()) <= LONGEST_RUBRIC:
            raise Refused(f"must be a text of 1 to {LONGEST_RUBRIC:,} characters", field=f"{field}.judge.rubric")
        _check_budget(judge.budget, f"{field}.judge.budget")


def _check_judge_criterion(criterion: CriterionEntry, judge: JudgeEntry | None, where: str) -> None:
    if judge is None:
        raise Refused("the plan names no judge", field=f"{where}.metric")
    if criterion.metric != judge.metric:
        raise Refused(f"a judge of mode {judge.mode} says {judge.metric}", field=f"{where}.metric")
    if criterion.role is not CriterionRole.ADVISORY:
        raise Refused("a model judge is an instrument with a bias: this can only be advisory", field=f"{where}.role")


def _check_budget(budget: BudgetEntry, field: str) -> None:
    if not budget.amount.is_finite() or not Decimal(0) < budget.amount < Decimal(9_000_000):
        raise Refused("must be above 0 and below 9 million", field=f"{field}.amount")
    if budget.assume_per_mtok is not None and set(budget.assume_per_mtok) != {"input", "output"}:
        raise Refused("needs exactly input and output", field=f"{field}.assume_per_mtok")
    if budget.assume_per_mtok is not None and not all(
        price.is_finite() and Decimal(0) <= price < Decimal(9_000_000) for price in budget.assume_per_mtok.values()
    ):
        raise Refused("must be prices per million tokens", field=f"{field}.assume_per_mtok")
    if budget.max_calls is not None and not 1 <= budget.max_calls < 2**31:
        raise Refused("must be at least 1 and below 2 billion", field=f"{field}.max_calls")


def _check_planned_looks(definition: PlanDefinition, *, field: str) -> None:
    planned, maximum = definition.planned_looks, definition.maximum_samples
    where = f"{field}.planned_looks"
    if definition.looks is not Looks.PLANNED_HORIZON:
        if planned:
            raise Refused("only a plan with looks planned_horizon has planned checks", field=where)
        return
    if maximum is None:
        raise Refused("a planned horizon fixes the largest number of samples", field=f"{field}.maximum_samples")
    if not planned:
        raise Refused("a planned horizon needs the sample numbers at which it is read", field=where)
    if len(planned) > MOST_LOOKS:
        raise Refused(f"must be {MOST_LOOKS} at most", field=where)
    if planned[-1] != maximum:
        raise Refused(f"the last check is at maximum_samples, {maximum:,}", field=where)
    if planned[0] < definition.minimum_samples:
        raise Refused("the first check is below minimum_samples", field=where)
    if any(later - earlier < SMALLEST_STEP * maximum for earlier, later in zip([0, *planned], planned, strict=False)):
        step = max(1, math.ceil(SMALLEST_STEP * maximum))
        raise Refused(f"must ascend, by at least {step:,} samples", field=where)


def check_ready(plan: Plan, definition: PlanDefinition) -> None:
    """Refuse to freeze a plan that could not be run or decided."""
    check_definition(definition)
    check_judge(plan, definition)
    if plan.candidate_endpoint is None:
        raise Refused("the candidate needs an endpoint", field="candidate.endpoint")
    if not any(criterion.role in GATES for criterion in definition.criteria):
        raise Refused("at least one primary or guardrail criterion is needed", field="plan.criteria")


def check_judge(plan: Plan, definition: PlanDefinition) -> Endpoint | None:
    """The judge's endpoint; None: the plan has no judge. Refuse one that would judge itself or its kin."""
    if definition.judge is None:
        return None
    endpoint = Endpoint.objects.filter(slug=definition.judge.endpoint).select_related("model__vendor").first()
    if endpoint is None:
        raise Refused(f"unknown endpoint {definition.judge.endpoint}", field="plan.judge.endpoint")
    model = endpoint.model
    for role, arm, called in (
        (ArmRole.INCUMBENT, plan.incumbent_model, plan.incumbent_endpoint),
        (ArmRole.CANDIDATE, plan.candidate_model, plan.candidate_endpoint),
    ):
        same_name = called is not None and called.wire_model == endpoint.wire_model
        if arm.pk == model.pk or same_name:
            raise Refused(f"{model.slug} is the {role}: no model judges its own answers", field="plan.judge.endpoint")
        if arm.family and arm.family == model.family:
            raise Refused(
                f"{model.slug} is of the family {model.family}, as is the {role} {arm.slug}: a judge is of another",
                field="plan.judge.endpoint",
            )
    return endpoint


def check_scorers(document: Mapping[str, Any]) -> None:
    """Refuse a frozen plan whose scorers are no longer the installed ones: they would judge otherwise than agreed."""
    for index, entry in enumerate(document["scorers"]):
        try:
            installed = SCORERS.get(entry["name"]).version
        except PluginError as error:
            raise Refused(str(error), field=f"plan.scorers[{index}].name") from None
        if installed != entry["version"]:
            raise Refused(
                f"scorer {entry['name']} is of version {installed} here, the plan was frozen with {entry['version']}:"
                " freeze it again",
                field=f"plan.scorers[{index}]",
            )


def frozen_document(plan: Plan, definition: PlanDefinition) -> dict[str, Any]:
    """What the digest covers: everything that decides the verdict; not budget, schedule, URL, key or limits."""
    return {
        "hypothesis": definition.hypothesis,
        "arms": {
            "incumbent": _arm(plan.incumbent_model, plan.incumbent_endpoint, plan.incumbent_request),
            "candidate": _arm(plan.candidate_model, plan.candidate_endpoint, plan.candidate_request),
        },
        "scorers": frozen_scorers(definition),
        "criteria": [
            {
                "metric": criterion.metric,
                "role": str(criterion.role),
                "margin": None if criterion.margin is None else str(criterion.margin),
                "max_ratio": None if criterion.max_ratio is None else str(criterion.max_ratio),
            }
            for criterion in definition.criteria
        ],
        "looks": str(definition.looks),
        "alpha": str(definition.alpha),
        "minimum_samples": definition.minimum_samples,
        "horizon": {
            "maximum_samples": definition.maximum_samples,
            "decide_by": None if definition.decide_by is None else definition.decide_by.isoformat(),
            # Only there: a plan of another kind keeps the digest it has.
            **({"planned_looks": definition.planned_looks} if definition.looks is Looks.PLANNED_HORIZON else {}),
        },
        "error_rule": "a vendor's failure is a failed sample; our own failure leaves the pair out",
        "judge": frozen_judge(definition),
        "switched_threshold": {"share": "0.80", "days": 14},
    }


def frozen_judge(definition: PlanDefinition) -> dict[str, Any] | None:
    """The judge of a plan as it would be frozen now."""
    judge = definition.judge
    if judge is None:
        return None
    endpoint = Endpoint.objects.select_related("model").get(slug=judge.endpoint)
    return {
        "model": endpoint.model.slug,
        "protocol": endpoint.protocol,
        "wire_model": endpoint.wire_model,
        "parameters": endpoint.parameters,
        "mode": str(judge.mode),
        "rubric": judge.rubric,
        "scorer": {"name": JUDGE, "version": JUDGE_VERSION},
    }


def frozen_scorers(definition: PlanDefinition) -> list[dict[str, Any]]:
    """The scorers of a plan as they would be frozen now, of the installed versions."""
    return [
        {"key": entry.metric, "name": entry.name, "version": SCORERS.get(entry.name).version, "config": entry.config}
        for entry in definition.scorers
    ]


def _arm(model: Any, endpoint: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": model.slug,
        "recorded": endpoint is None,
        "protocol": None if endpoint is None else endpoint.protocol,
        "wire_model": None if endpoint is None else endpoint.wire_model,
        "parameters": {} if endpoint is None else endpoint.parameters,
        "request": dict(request),
    }


def document_digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def without_marks(document: Mapping[str, Any]) -> dict[str, Any]:
    """A frozen document as its plan says it, without what freezing added to the horizon."""
    horizon = {name: value for name, value in document["horizon"].items() if name not in ("voids", "continues")}
    return {**document, "horizon": horizon}


def differ_in_horizon_only(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two frozen documents judge the same answers in the same way, up to when they are read."""

    def rest(document: Mapping[str, Any]) -> dict[str, Any]:
        apart = ("horizon", "minimum_samples", "hypothesis")
        return {name: value for name, value in document.items() if name not in apart}

    return document_digest(rest(one)) == document_digest(rest(other))
