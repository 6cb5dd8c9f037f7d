"""What a judge is asked about a chunk's samples, and what it said. Public surface: ``questions``, ``read_answers``.

The first round of a judging shows the incumbent's answer first (or alone), the second the candidate's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluations.enums import COMPARED, ArmRole, JudgeMode, Outcome, Preference
from evaluations.models import (
    Completion,
    CompletionContent,
    Judgement,
    ReplayRun,
    RunArm,
    SampleContent,
    SampleSetMember,
)
from evaluations.providers.base import CompletionRequest
from evaluations.scorers.base import Unscored
from evaluations.scorers.judge import Material, pairwise_request, read_pairwise, read_rubric, rubric_request
from evaluations.services.bulk import insert_rows

_SLICE = 500


def questions(arm: RunArm, *, round_: int, members: Sequence[SampleSetMember]) -> dict[int, CompletionRequest]:
    """By sample; those are left out whose answers, both or the one to be marked, can not be read.

    A failed answer needs no judge, and one that was purged can not be shown.
    """
    asked: dict[int, CompletionRequest] = {}
    needed = {COMPARED[round_]} if _mode(arm) is JudgeMode.RUBRIC else set(COMPARED)
    for first in range(0, len(members), _SLICE):
        part = members[first : first + _SLICE]
        answers = _answers(arm.run, [member.position for member in part])
        contents = SampleContent.objects.in_bulk([member.sample_id for member in part])
        for member in part:
            given, content = answers.get(member.position, {}), contents.get(member.sample_id)
            if needed <= given.keys() and content is not None and content.request is not None:
                material = Material(content.request, content.reference)
                asked[member.sample_id] = CompletionRequest(_question(arm, round_, material, given))
    return asked


def _answers(judging: ReplayRun, positions: Sequence[int]) -> dict[int, dict[ArmRole, Mapping[str, Any]]]:
    """By position, the messages of both arms of the run that is judged; only what was answered and is kept."""
    rows = CompletionContent.objects.filter(
        completion__arm__run=judging.judges_id,
        completion__repeat=0,
        completion__position__gte=min(positions),
        completion__position__lte=max(positions),
        completion__outcome=Outcome.OK,
    ).select_related("completion__arm")
    found: dict[int, dict[ArmRole, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.completion.position, {})[row.completion.arm.role] = row.assistant_message
    return found


def _question(
    arm: RunArm, round_: int, material: Material, given: Mapping[ArmRole, Mapping[str, Any]]
) -> Mapping[str, Any]:
    judge = arm.run.plan_version.document["judge"]
    shown, other = COMPARED[round_], COMPARED[1 - round_]
    if _mode(arm) is JudgeMode.RUBRIC:
        return rubric_request(judge["rubric"], material, answer=given[shown])
    return pairwise_request(judge["rubric"], material, first=given[shown], second=given[other])


def _mode(arm: RunArm) -> JudgeMode:
    return JudgeMode(arm.run.plan_version.document["judge"]["mode"])


def read_answers(judging: ReplayRun) -> None:
    """Store what the judge said and is not stored yet. May run twice: what was read once is not read again."""
    judge = judging.plan_version.document["judge"]
    mode, version = JudgeMode(judge["mode"]), judge["scorer"]["version"]
    # A sample without two answers was not asked about.
    unread = (
        Completion.objects.filter(arm__run=judging, judgement__isnull=True)
        .exclude(outcome=Outcome.MISSING)
        .select_related("content")
        .order_by("id")
    )
    while rows := list(unread[:_SLICE]):
        insert_rows(
            Judgement,
            ("completion", "shown", "preferred", "score", "cause", "judge_version"),
            [(row.pk, COMPARED[row.repeat], *_said(row, mode), version) for row in rows],
            ignore_conflicts=True,
        )


def _said(row: Completion, mode: JudgeMode) -> tuple[Preference | str, float | None, str]:
    """Preference, score and cause."""
    content: CompletionContent | None = getattr(row, "content", None)
    if row.outcome is not Outcome.OK:
        return "", None, str(row.outcome)
    if content is None:
        return "", None, "content_purged"
    text = content.text or ""
    if mode is JudgeMode.RUBRIC:
        mark = read_rubric(text)
        return ("", None, mark.reason) if isinstance(mark, Unscored) else ("", mark.value, "")
    said = read_pairwise(text)
    if isinstance(said, Unscored):
        return "", None, said.reason
    if said == "tie":
        return Preference.TIE, None, ""
    shown = COMPARED[row.repeat if said == "first" else 1 - row.repeat]
    return Preference(shown.value), None, ""
