"""Scores of a run's answers, without calling anybody again. Public surface: ``score_run``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evaluations.enums import ArmRole, Flip, Outcome
from evaluations.faults import reached
from evaluations.models import Completion, CompletionContent, PlanVersion, ReplayRun, SampleContent, ScoreRow
from evaluations.scorers.base import Answer, Score, Scored, Scorer, Unscored
from evaluations.scorers.registry import SCORERS
from evaluations.selectors.evidence import score_of
from evaluations.services.bulk import insert_rows, update_rows
from evaluations.services.scoring_turns import Turn, take_turn

logger = logging.getLogger(__name__)

SLICE = 250  # samples at once, of both arms

_UNSCORED = -1.0  # in a query, where None says that there is no row
_COLUMNS = ("completion", "key", "scorer", "scorer_version", "value", "detail")


class _Entry(NamedTuple):
    """A scorer of the plan."""

    key: str
    name: str
    version: str
    config: Mapping[str, Any]
    scorer: Scorer
    installed: str  # version; another one would judge otherwise than the plan says
    outcomes: frozenset[Outcome]  # that it judges


class _Answer(NamedTuple):
    place: int  # in the order of scoring, from 1: what the turn writes down
    pk: int
    role: ArmRole
    sample_id: int
    outcome: Outcome
    flip: int


Values = dict[tuple[int, str], float | None]  # by answer and scorer


def score_run(
    run: ReplayRun, *, judged_by: PlanVersion | None = None, stopping: Callable[[], bool] = lambda: False
) -> bool:
    """Score every answer of ``run`` that its plan's scorers have not judged yet.

    False while somebody else does, and where it ends early because this process is ``stopping``: what is left is for
    the next turn.

    ``judged_by`` is a later version of the plan, whose scorers judge beside those of the run's own.

    A vendor's failure gets no row. An answer that a scorer can not judge without ending its process gets one that says
    so. What the plan's first scorer makes of both answers to a sample is noted with the candidate's. May run twice: the
    second finds the first's rows.
    """
    turn = take_turn(run)
    if turn is None:
        return False
    try:
        entries = [_entry(document) for document in (judged_by or run.plan_version).document["scorers"]]
        if not entries:
            return True
        flips = judged_by is None
        return all(not stopping() and _score(part, entries, turn, flips=flips) for part in _slices(run))
    finally:
        turn.end()


def _entry(document: Mapping[str, Any]) -> _Entry:
    scorer = SCORERS.get(document["name"])
    cut = {Outcome.TRUNCATED} if scorer.scores_truncated else set()
    outcomes = frozenset({Outcome.OK, *cut})
    key, name, version, config = (document[part] for part in ("key", "name", "version", "config"))
    return _Entry(key, name, version, config, scorer, scorer.version, outcomes)


@dataclass(frozen=True, slots=True)
class _Slice:
    """Both arms' answers to some samples. Found by position: then the database reads these rows and no others.

    Each method reads its rows to the end: on SQLite a write under an open read fails at once when another connection
    has written meanwhile.
    """

    run: ReplayRun
    roles: Mapping[int, ArmRole]  # by arm
    size: int  # of the run's set
    repeat: int
    start: int

    def answers(self, entries: Sequence[_Entry]) -> tuple[list[_Answer], Values]:
        """In the order of scoring, and what was said of them before."""
        said = {f"score_{n}": score_of(e.key, e.version, unscored=_UNSCORED) for n, e in enumerate(entries)}
        found = Completion.objects.filter(**self._of_answers("")).annotate(**said)
        answers: list[_Answer] = []
        values: Values = {}
        rows = found.values_list("id", "arm_id", "position", "sample_id", "outcome", "flip", *said)
        for pk, arm_id, position, sample_id, outcome, flip, *before in rows:
            role = self.roles[arm_id]
            answers.append(_Answer(self._place(position, role), pk, role, sample_id, outcome, flip))
            for entry, value in zip(entries, before, strict=True):
                if value is not None:
                    values[pk, entry.key] = None if value == _UNSCORED else value
        return sorted(answers), values

    def _place(self, position: int, role: ArmRole) -> int:
        return 2 * (self.repeat * self.size + position) + (1 if role is ArmRole.INCUMBENT else 2)

    def contents(self) -> dict[int, CompletionContent]:
        """By answer."""
        return {row.pk: row for row in CompletionContent.objects.filter(**self._of_answers("completion__"))}

    def samples(self) -> dict[int, tuple[Any, Any]]:
        """Request and reference, by sample."""
        found = SampleContent.objects.filter(
            sample__memberships__sample_set=self.run.sample_set, **self._positions("sample__memberships__")
        )
        return {pk: (request, reference) for pk, request, reference in found.values_list("pk", "request", "reference")}

    def _of_answers(self, prefix: str) -> dict[str, Any]:
        return {f"{prefix}arm__in": list(self.roles), f"{prefix}repeat": self.repeat, **self._positions(prefix)}

    def _positions(self, prefix: str) -> dict[str, int]:
        return {f"{prefix}position__gte": self.start, f"{prefix}position__lt": self.start + SLICE}


def _slices(run: ReplayRun) -> Iterator[_Slice]:
    roles = {arm.pk: arm.role for arm in run.arms.all()}
    size = 0 if run.sample_set is None else run.sample_set.size
    for repeat in range(run.repeats):
        for start in range(0, size, SLICE):
            yield _Slice(run, roles, size, repeat, start)


def _score(part: _Slice, entries: Sequence[_Entry], turn: Turn, *, flips: bool) -> bool:
    """One slice's rows; False if another process has taken over."""
    answers, values = part.answers(entries)
    for entry in entries:
        waiting = [a for a in answers if a.outcome in entry.outcomes and (a.pk, entry.key) not in values]
        if waiting and not _judge(part, entry, waiting, values, turn):
            return False
    if flips:
        update_rows(Completion, ("flip",), ("id",), list(_flips(answers, values, entries[0].key)))
    return True


def _judge(part: _Slice, entry: _Entry, waiting: Sequence[_Answer], values: Values, turn: Turn) -> bool:
    """One scorer's rows; answers at which a process may have ended go one by one."""
    contents, samples = part.contents(), part.samples()
    while waiting:
        suspect = waiting[0].place <= turn.suspects(entry.key)
        batch, waiting = (waiting[:1], waiting[1:]) if suspect else (waiting, [])
        if not turn.begin(entry.key, batch[0].place, batch[-1].place, suspect=suspect):
            return False
        rows = []
        for answer in batch:
            if suspect and turn.gives_up:
                score: Score = Unscored(f"given up: {turn.lost} processes ended at it")
            else:
                score = _scored(entry, answer, contents.get(answer.pk), samples.get(answer.sample_id))
            value, detail = (score.value, score.detail) if isinstance(score, Scored) else (None, score.reason)
            rows.append((answer.pk, entry.key, entry.name, entry.version, value, detail[:300]))
            values[answer.pk, entry.key] = value
            if not turn.keep():
                return False
        reached("before_scores")
        insert_rows(ScoreRow, _COLUMNS, rows, ignore_conflicts=True)
    return True


def _scored(entry: _Entry, answer: _Answer, content: CompletionContent | None, sample: tuple[Any, Any] | None) -> Score:
    if entry.installed != entry.version:
        return Unscored(f"scorer_changed: version {entry.installed} is installed, the plan has {entry.version}")
    if content is None or sample is None:
        return Unscored("content_purged")
    request, reference = sample
    given = Answer(
        text=content.text or "",
        reference=reference,
        message=content.assistant_message,
        request=request or {},
        outcome=answer.outcome,
    )
    try:
        return entry.scorer.score(given, entry.config)
    except Exception as error:
        # A scorer never raises, and a run must not stand still for one that does.
        logger.exception("scorer %s broke on completion %s", entry.name, answer.pk)
        return Unscored(f"the scorer broke: {type(error).__name__}")


def _flips(answers: Sequence[_Answer], values: Values, key: str) -> Iterator[tuple[Flip, int]]:
    """The candidate's answers whose flip is not noted yet."""
    before = {a.sample_id: values.get((a.pk, key)) for a in answers if a.role is ArmRole.INCUMBENT}
    for answer in answers:
        if answer.role is ArmRole.CANDIDATE:
            flip = _FLIPS.get((before.get(answer.sample_id), values.get((answer.pk, key))), Flip.NONE)
            if flip != answer.flip:
                yield flip, answer.pk


_FLIPS: Mapping[tuple[float | None, float | None], Flip] = {(1, 0): Flip.HARMFUL, (0, 1): Flip.BENEFICIAL}
