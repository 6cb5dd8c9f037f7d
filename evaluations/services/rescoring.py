"""Answers judged again by a later version of their plan, without calling anybody.

Public surface: ``rescore_run``, ``settle_rescoring``, ``scorers_to_judge_by``, ``open_rescorings``,
``rescoring_document``.

The verdict of the run stays what it was. What its answers are worth under other scorers is kept beside it, and is after
the fact: whoever chose those scorers may have seen the answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from evaluations.models import CompletionContent, PlanVersion, ReplayRun, Rescoring, ScoreRow
from evaluations.selectors.breakeven import arm_prices
from evaluations.selectors.comparisons import frozen_by_drift, read_plan
from evaluations.selectors.drift import drift_ended
from evaluations.selectors.evidence import ENDED, evidence_for, runs_until
from evaluations.services import audit
from evaluations.services.bulk import recount
from evaluations.services.conclusions import MANY
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import check_scorers, definition_of, frozen_scorers
from evaluations.services.run_audit import audit_run
from evaluations.services.scoring import score_run


@transaction.atomic
def rescore_run(*, run: ReplayRun, by: audit.Actor, at: datetime) -> Rescoring:
    """Ask for ``run``'s answers, and those of earlier runs that its verdict rests on, to be judged by the plan as it is
    frozen now; what was asked for already is given again.

    Raises ``Conflict`` for a run whose verdict has not been read, ``Refused`` where the plan says nothing new, compares
    other models or requests, or gives the key of a scorer to another one, and where the answers were purged.
    """
    if not run.decision:
        raise Conflict("the run has no verdict yet: its answers are judged when it ends")
    version = run.plan_version.plan.versions.order_by("-number").first()
    if version is None or version.document["scorers"] == run.plan_version.document["scorers"]:
        raise Refused("the plan's scorers judged this run already: change them, or freeze it again", field="plan")
    check_scorers(version.document)
    if version.document["arms"] != run.plan_version.document["arms"]:
        raise Refused(f"version {version.number} of the plan compares other models or requests", field="plan")
    earlier = [run.plan_version, *PlanVersion.objects.filter(rescorings__run__plan_version=run.plan_version).distinct()]
    _refuse_other_meanings(version, [other for other in earlier if other.pk != version.pk])
    if not CompletionContent.objects.filter(completion__arm__run=run).exists():
        raise Refused("the run has no answers to judge, or they were purged", field="run")
    rescoring, created = Rescoring.objects.get_or_create(
        run=run, plan_version=version, defaults={"requested_at": at, "requested_by": by.user}
    )
    if created:
        audit_run(run, "replay_run.rescoring", by=by, at=at, data={"plan_version": version.number})
    return rescoring


def _refuse_other_meanings(version: PlanVersion, earlier: Sequence[PlanVersion]) -> None:
    """Scores are stored by key and version of the scorer: these mean the same to every version that judged the run."""
    meant = {_stored_as(entry): entry for other in earlier for entry in other.document["scorers"]}
    for entry in version.document["scorers"]:
        if meant.get(_stored_as(entry), entry) != entry:
            raise Refused(f"give the changed scorer {entry['key']!r} a key of its own", field="plan.scorers")


def _stored_as(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["key"], entry["version"]


def settle_rescoring(*, rescoring: Rescoring, at: datetime) -> bool:
    """Judge what is not judged yet and keep the reading; True if this call did. May run twice, or on after a crash."""
    run, version = rescoring.run, rescoring.plan_version
    if run.status not in ENDED:
        return False
    for each in runs_until(run):
        if not score_run(each, judged_by=version):
            return False
    if run.done >= MANY:
        recount(ScoreRow)
    evidence = evidence_for(run.plan_version, at_end_of=run, judged_by=version)
    reading = read_plan(version.document, evidence, on=at.date(), prices=arm_prices(run, at=run.created_at))
    comparisons, decision, reason = (
        [each.to_document() for each in reading.comparisons],
        reading.decision,
        reading.reason,
    )
    if drift_ended(run):
        comparisons, decision, reason = frozen_by_drift(version.document, comparisons, n=evidence.n, on=at.date())
    with transaction.atomic():
        kept = Rescoring.objects.filter(pk=rescoring.pk, finished_at=None).update(
            finished_at=at,
            decision=decision,
            decision_reason=(reason or "")[:300],
            evidence_samples=evidence.n,
            comparisons=comparisons,
        )
        if kept:
            data = {"plan_version": version.number, "decision": str(decision)}
            audit_run(run, "replay_run.rescored", by=audit.Actor.task("scoring"), at=at, data=data)
            rescoring.refresh_from_db()
    return bool(kept)


def open_rescorings() -> QuerySet[Rescoring]:
    """Those that are not finished, in the order in which they were asked for."""
    return Rescoring.objects.filter(finished_at=None).order_by("pk")


def scorers_to_judge_by(run: ReplayRun) -> list[str]:
    """How the plan's scorers as they are now differ from those of ``run``, a line each; none if they have judged it."""
    before = run.plan_version.document["scorers"]
    now = frozen_scorers(definition_of(run.plan_version.plan))
    judged = PlanVersion.objects.filter(rescorings__run=run).values_list("document", flat=True)
    if not run.decision or any(document["scorers"] == now for document in judged):
        return []
    return list(_changes({entry["key"]: entry for entry in before}, now))


def _changes(before: Mapping[str, Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in now:
        key, old = entry["key"], before.get(entry["key"])
        if old is None or old["name"] != entry["name"]:
            yield f"{key}: {entry['name']}, new in the plan"
        elif old["version"] != entry["version"]:
            yield f"{key}: version {old['version']} becomes {entry['version']}"
        elif old["config"] != entry["config"]:
            yield f"{key}: other settings"


def rescoring_document(rescoring: Rescoring) -> dict[str, Any]:
    """For the command and the API; ``finished_at`` is None until all is judged, and so is what follows from it."""
    version, done = rescoring.plan_version, rescoring.finished_at
    return {
        "run": rescoring.run_id,
        "plan_version": version.number,
        "plan_digest": version.digest,
        "after_the_fact": True,
        "scorers": [
            {name: entry[name] for name in ("key", "name", "version")} for entry in version.document["scorers"]
        ],
        "requested_at": rescoring.requested_at.isoformat(),
        "finished_at": None if done is None else done.isoformat(),
        "evidence_samples": rescoring.evidence_samples,
        "comparisons": rescoring.comparisons,
        "decision": str(rescoring.decision) if rescoring.decision else None,
        "decision_reason": rescoring.decision_reason or None,
    }
