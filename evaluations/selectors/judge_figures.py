"""What a plan's judge prefers, how far the order of the answers decided it, and how far people agree with it.

Public surface: ``JUDGE_METRICS``, ``read_judge``, ``stored_judge``, ``judges_by``.

A judge is an instrument with a bias. A preference counts where it holds in both orders; a judge that changes its mind
with the order knows nothing, which is not a tie. And no word is given on a judge alone: it needs people, who read a
random part of the same answers, to point the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from evaluations.enums import (
    COMPARED,
    LEFT_OUT,
    ArmRole,
    CriterionRole,
    JudgeMode,
    Looks,
    Outcome,
    Preference,
    ReviewChoice,
    Verdict,
)
from evaluations.models import (
    Completion,
    DriftAlarm,
    Judgement,
    PlanVersion,
    ReplayRun,
    ReviewBatch,
    RunArm,
    Sample,
    SampleSetMember,
)
from evaluations.scorers.judge import RUBRIC_SCALE
from evaluations.selectors.criteria import MINIMUM_CLUSTERS, MISSING_SHARE
from evaluations.selectors.judge_sentences import judge_sentence
from evaluations.selectors.review_figures import (
    Label,
    against_people,
    labels,
    limits_of,
    unread_by_people,
    word_of,
)
from evaluations.statistics.distributions import sign_test
from evaluations.statistics.judges import pairwise_judge
from evaluations.statistics.sequential import betting_cs

JUDGE_METRICS = {JudgeMode.PAIRWISE: "judge_preference", JudgeMode.RUBRIC: "judge_score"}
# Labels of people below which a judge is not held against them; 100 are enough, so many are rough.
FEWEST_LABELS = 50
_CLEAR = 0.05  # p value of the sign test, beyond which changes of mind favour one place
_Limits = tuple[float | None, float | None, str, int | None, str | None]  # lower, upper, method, groups, reason


@dataclass(slots=True)
class _Said:
    """Of all judgings together. A unit is one sample of one replay."""

    values: dict[int, list[float]] = field(default_factory=dict)  # by sample: 1 the candidate, -1 the incumbent
    answered: dict[int, list[float]] = field(
        default_factory=dict
    )  # the same, of samples that the judge was asked about
    flipped: set[int] = field(default_factory=set)  # samples on which it changed its mind with the order
    verdicts: list[tuple[Preference, Preference]] = field(default_factory=list)  # candidate shown first, second
    shown_first: Counter[str] = field(default_factory=Counter)  # which place was preferred, over all calls
    marks: dict[ArmRole, list[float]] = field(default_factory=lambda: {role: [] for role in COMPARED})
    failures: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)


def read_judge(version: PlanVersion, *, at_end_of: ReplayRun | None = None) -> dict[str, Any] | None:
    """Of every judging of ``version`` that has been read, and of ``at_end_of``, which is about to be; None: of none.
    Those of one period: of ``at_end_of``, else the newest, as for any criterion.

    The document that is kept and shown, in the terms of a comparison. A sample counts once, with its mean; a vendor's
    failure to answer loses without a judge.
    """
    which = Q(judged__isnull=False) if at_end_of is None else Q(judged__isnull=False) | Q(pk=at_end_of.pk)
    found = ReplayRun.objects.filter(which, plan_version=version, judges__isnull=False)
    rows_of = list(found.order_by("pk").values_list("pk", "judges", "sample_set", "period"))
    if not rows_of:
        return None
    period = rows_of[-1][3] if at_end_of is None else at_end_of.period
    judgings = {pk: (judges, set_id) for pk, judges, set_id, of in rows_of if of == period}
    judge = version.document["judge"]
    mode = JudgeMode(judge["mode"])
    said = _said(judgings, mode)
    sets = {set_id for _, set_id in judgings.values()}
    clusters = dict(
        Sample.objects.filter(memberships__sample_set__in=sets).exclude(cluster="").values_list("pk", "cluster")
    )
    rows = [Label(pk, clusters.get(pk, ""), float(np.mean(each)), True) for pk, each in sorted(said.values.items())]
    samples = SampleSetMember.objects.filter(sample_set__in=sets).values("sample_id").distinct().count()
    endpoint = RunArm.objects.filter(run__in=judgings).order_by("-id").values_list("endpoint__slug", flat=True).first()
    read = _reading(version, mode, said, rows, missing=samples - len(rows), clustered=bool(clusters))
    if read["difference"] is not None and DriftAlarm.objects.filter(plan_version=version, period=period).exists():
        # As for the gates: before and after a model changed is not one answer.
        read |= {"verdict": str(Verdict.INCONCLUSIVE), "reason": "drifted"}
    return {
        **read,
        "mode": str(mode),
        "judge": {"model": judge["model"], "endpoint": endpoint, "version": judge["scorer"]["version"]},
        "rubric": judge["rubric"],
        "judgings": len(judgings),
        "failures": {name: said.failures[name] for name in ("incumbent", "candidate", "both")},
        "unscored": dict(sorted(said.unscored.items())),
        "sentence": judge_sentence(version.document, mode, read),
    }


def stored_judge(version: PlanVersion, *, until: datetime | None = None) -> Mapping[str, Any] | None:
    """As of the last judging that had ended by ``until``, or the reviews that were closed after it."""
    return judges_by([version.pk], until=until).get(version.pk)


def judges_by(versions: Iterable[int], *, until: datetime | None = None) -> dict[int, Mapping[str, Any]]:
    """By plan version. Two queries."""
    of = list(versions)
    ended = ReplayRun.objects.filter(plan_version__in=of, judges__isnull=False, judged__isnull=False)
    closed = ReviewBatch.objects.filter(plan_version__in=of, document__judge__isnull=False)
    if until is not None:
        ended, closed = ended.filter(finished_at__lte=until), closed.filter(closed_at__lte=until)
    told: list[tuple[datetime, int, int, Mapping[str, Any]]] = []
    for pk, version, at, document in ended.values_list("pk", "plan_version", "finished_at", "judged"):
        if at is not None and document is not None:
            told.append((at, pk, version, document))
    for pk, version, closed_at, document in closed.values_list("pk", "plan_version", "closed_at", "document"):
        if closed_at is not None and document is not None and document["judge"] is not None:
            told.append((closed_at, pk, version, document["judge"]))
    return {version: document for _, _, version, document in sorted(told, key=lambda each: each[:2])}


def _said(judgings: Mapping[int, tuple[int | None, int | None]], mode: JudgeMode) -> _Said:
    said = _Said()
    judged = {judges: pk for pk, (judges, _) in judgings.items() if judges is not None}
    units: dict[tuple[int, int], dict[ArmRole, Preference | float | None]] = {}
    rows = Judgement.objects.filter(completion__arm__run__in=judgings).values_list(
        "completion__arm__run", "completion__sample", "shown", "preferred", "score", "cause"
    )
    for run, sample, shown, preferred, score, cause in rows.iterator(chunk_size=2000):
        if cause:
            said.unscored[cause] += 1
        units.setdefault((run, sample), {})[shown] = preferred if mode is JudgeMode.PAIRWISE else score
    failed: dict[tuple[int, int], dict[ArmRole, Outcome]] = {}
    lost = Completion.objects.filter(arm__run__in=judged, repeat=0).exclude(outcome=Outcome.OK)
    # A judging that was stopped says nothing of the samples it never came to, be they answered or not.
    reached = set(Completion.objects.filter(arm__run__in=judgings).values_list("arm__run", "sample"))
    for run, sample, role, outcome in lost.values_list("arm__run", "sample", "arm__role", "outcome"):
        if (judged[run], sample) in reached:
            failed.setdefault((judged[run], sample), {})[role] = outcome
    for unit in units.keys() | failed.keys():
        ended = failed.get(unit, {})
        if any(outcome in LEFT_OUT for outcome in ended.values()):
            continue
        if mode is JudgeMode.PAIRWISE:
            _add_preference(said, unit[1], units.get(unit, {}), ended)
        else:
            _add_marks(said, unit[1], units.get(unit, {}), ended)
        if ended:
            said.failures["both" if len(ended) == len(COMPARED) else str(next(iter(ended)))] += 1
    return said


def _add_preference(said: _Said, sample: int, unit: Mapping[ArmRole, Any], failed: Mapping[ArmRole, Outcome]) -> None:
    if failed:
        value = float(ArmRole.INCUMBENT in failed) - float(ArmRole.CANDIDATE in failed)
        said.values.setdefault(sample, []).append(value)
        return
    for shown, word in unit.items():
        if word:
            place = "tie" if word is Preference.TIE else "first" if word == shown else "second"
            said.shown_first[place] += 1
    first, second = unit.get(ArmRole.CANDIDATE), unit.get(ArmRole.INCUMBENT)
    if not first or not second:
        return
    said.verdicts.append((first, second))
    if {first, second} == {Preference.CANDIDATE, Preference.INCUMBENT}:
        said.flipped.add(sample)
    value = {Preference.CANDIDATE: 1.0, Preference.INCUMBENT: -1.0, Preference.TIE: 0.0}[first]
    _keep(said, sample, value if first is second else 0.0)


def _add_marks(said: _Said, sample: int, unit: Mapping[ArmRole, Any], failed: Mapping[ArmRole, Outcome]) -> None:
    marks = {role: 0.0 if role in failed else unit.get(role) for role in COMPARED}
    before, after = (marks[role] for role in COMPARED)
    if before is None or after is None:
        return
    said.marks[ArmRole.INCUMBENT].append(before)
    said.marks[ArmRole.CANDIDATE].append(after)
    if failed:
        said.values.setdefault(sample, []).append(after - before)
    else:
        _keep(said, sample, after - before)


def _keep(said: _Said, sample: int, value: float) -> None:
    said.values.setdefault(sample, []).append(value)
    said.answered.setdefault(sample, []).append(value)


def _reading(
    version: PlanVersion, mode: JudgeMode, said: _Said, rows: Sequence[Label], *, missing: int, clustered: bool
) -> dict[str, Any]:
    document = version.document
    alpha, looks = float(document["alpha"]), Looks(document["looks"])
    metric = JUDGE_METRICS[mode]
    agreed = next((entry for entry in document["criteria"] if entry["metric"] == metric), None)
    margin = None if agreed is None or agreed["margin"] is None else float(agreed["margin"])
    values = np.array([row.value for row in rows])
    difference = float(values.mean()) if len(values) else None
    lower, upper, method, groups, reason = _limits(rows, values, looks=looks, alpha=alpha)
    word = Verdict.NOT_COMPUTABLE if difference is None else word_of(lower, upper, margin)
    people = _people(version, said, clustered=clustered, alpha=alpha)
    pairs = _pairs(said, alpha=alpha) if mode is JudgeMode.PAIRWISE else None
    if difference is None:
        reason = "not_judged"
    else:
        unsure = _unsure(said, rows, values, word, missing=missing, margin=margin, looks=looks, alpha=alpha)
        if unsure is not None:
            word, reason = Verdict.INCONCLUSIVE, unsure
        elif word is Verdict.INCONCLUSIVE:
            reason = reason or "wide"
        elif people["estimate"] is None or people["n"] < FEWEST_LABELS:
            word, reason = Verdict.INCONCLUSIVE, "no_human_labels"
        elif word_of(people["lower"], people["upper"], margin) is not word:
            word, reason = Verdict.INCONCLUSIVE, "people_disagree"
    return {
        "metric": metric,
        "role": str(CriterionRole.ADVISORY if agreed is None else agreed["role"]),
        "after_the_fact": agreed is None or version.after_the_fact,
        "n": len(rows),
        "n_clusters": groups,
        **_shares(said, values, mode),
        "difference": difference,
        "lower": lower,
        "upper": upper,
        "method": method,
        "margin": margin,
        "missing": missing,
        "verdict": str(word),
        "reason": reason,
        "pairs": pairs,
        "places": _places(said) if mode is JudgeMode.PAIRWISE else None,
        "people": people,
    }


def _shares(said: _Said, values: NDArray[np.float64], mode: JudgeMode) -> dict[str, float | None]:
    """Share of samples that each arm wins; of marks: the mean on the judge's scale."""
    if not len(values):
        return {"incumbent": None, "candidate": None}
    if mode is JudgeMode.PAIRWISE:
        return {
            "incumbent": float(np.maximum(-values, 0).mean()),
            "candidate": float(np.maximum(values, 0).mean()),
        }
    least, most = RUBRIC_SCALE
    return {str(role): least + (most - least) * float(np.mean(said.marks[role])) for role in COMPARED}


def _limits(rows: Sequence[Label], values: NDArray[np.float64], *, looks: Looks, alpha: float) -> _Limits:
    """Fixed at one look, else valid at every look, as for any criterion of a difference."""
    if looks is Looks.ONE_LOOK or not len(values):
        return limits_of(rows, values, alpha=alpha)
    by_cluster: dict[str, list[float]] = {}
    for row in rows:
        by_cluster.setdefault(row.cluster or f"\0{row.sample_id}", []).append(row.value)
    if len(by_cluster) == len(rows):
        sequence = betting_cs(diffs=values, alpha=alpha)
        return sequence.lower, sequence.upper, "betting_cs", None, None
    if len(by_cluster) < MINIMUM_CLUSTERS:
        return None, None, "none", len(by_cluster), "too_few_clusters"
    sequence = betting_cs(diffs=[float(np.mean(each)) for each in by_cluster.values()], alpha=alpha)
    return sequence.lower, sequence.upper, "betting_cs_clusters", len(by_cluster), None


def _pairs(said: _Said, *, alpha: float) -> dict[str, int | float | None]:
    """Of what the judge was asked in both orders; the failures that lose without it are not among them."""
    if not said.verdicts:
        return dict.fromkeys(("n", "wins", "losses", "ties", "flips", "flips_to_first"), 0) | {"sign_p": None}
    found = pairwise_judge(said.verdicts, alpha=alpha)
    return {
        "n": found.n,
        "wins": found.wins,
        "losses": found.losses,
        "ties": found.ties,
        "flips": found.flips,
        "flips_to_first": found.flips_to_first,
        "sign_p": found.sign_p,
    }


def _places(said: _Said) -> dict[str, int | float]:
    """Over all calls, whatever stood there."""
    first, second = said.shown_first["first"], said.shown_first["second"]
    return {"first": first, "second": second, "tie": said.shown_first["tie"], "p": sign_test(first, second)}


def _unsure(
    said: _Said,
    rows: Sequence[Label],
    values: NDArray[np.float64],
    word: Verdict,
    *,
    missing: int,
    margin: float | None,
    looks: Looks,
    alpha: float,
) -> str | None:
    """Why the word does not stand: over 5 % of the samples say nothing, and had they all gone one way, it might change.

    Nothing says a sample that was not judged, and one on which the judge changed its mind with the order.
    """
    flips = np.array([row.sample_id in said.flipped for row in rows])
    silent = int(flips.sum()) + missing
    if silent <= MISSING_SHARE * (len(rows) + missing):
        return None
    if word is not Verdict.INCONCLUSIVE and all(
        _word_if(rows, np.where(flips, extreme, values), extreme, missing, margin=margin, looks=looks, alpha=alpha)
        is word
        for extreme in (-1.0, 1.0)
    ):
        return None
    if missing > int(flips.sum()):
        return "missing"
    to_first = sum(pair == (Preference.CANDIDATE, Preference.INCUMBENT) for pair in said.verdicts)
    to_second = sum(pair == (Preference.INCUMBENT, Preference.CANDIDATE) for pair in said.verdicts)
    return "position_bias" if sign_test(to_first, to_second) < _CLEAR else "judge_flips"


def _word_if(
    rows: Sequence[Label],
    values: NDArray[np.float64],
    extreme: float,
    missing: int,
    *,
    margin: float | None,
    looks: Looks,
    alpha: float,
) -> Verdict:
    more = [Label(-1 - place, "", extreme, True) for place in range(missing)]
    together = np.concatenate([values, np.full(missing, extreme)])
    changed = [row._replace(value=float(value)) for row, value in zip(rows, values, strict=True)]
    lower, upper, *_ = _limits([*changed, *more], together, looks=looks, alpha=alpha)
    return word_of(lower, upper, margin)


def _people(version: PlanVersion, said: _Said, *, clustered: bool, alpha: float) -> dict[str, Any]:
    """The judge against people who read a random part of the samples blind."""
    preferred = dict(_means(said.answered))
    read = labels(version, ReviewChoice.RANDOM)
    rest = None if clustered else unread_by_people(version, read, preferred)
    return against_people(read, preferred, rest, alpha=alpha)


def _means(values: Mapping[int, Sequence[float]]) -> Iterator[tuple[int, float]]:
    for sample, each in values.items():
        yield sample, float(np.mean(each))
