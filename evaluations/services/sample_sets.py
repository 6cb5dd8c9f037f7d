"""Frozen sets of a workload's samples.

Public surface: ``freeze_set``, ``freeze_members``, ``freeze_part``, ``freeze_inbox``, ``INBOX``. A set's digest covers
id and content of every member, whatever their order. However many members there are, none of them is held in memory
but those of one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from evaluations.capture.digest import set_digest, sorted_set_digest
from evaluations.models import Plan, Sample, SampleSet, SampleSetMember, Workload
from evaluations.selectors.unreplayed import inbox
from evaluations.services import audit
from evaluations.services.bulk import insert_rows, run_sql, table
from evaluations.services.errors import Refused
from evaluations.services.staged_pool import Members

INBOX = "inbox"  # the method of sets that schedules take from the pool
_LOOKUP = 500  # ids in one query
_AT_ONCE = 5000  # rows


class _Useless(Exception):
    """What was begun is taken back, for ``known`` which the workload has already; None: it would have no member."""

    def __init__(self, known: SampleSet | None) -> None:
        self.known = known


@transaction.atomic
def freeze_set(
    *,
    workload: Workload,
    sample_ids: Sequence[int],
    name: str,
    method: Mapping[str, Any],
    parent: SampleSet | None,
    by: audit.Actor,
    at: datetime,
) -> SampleSet:
    """The set of these samples in this order; the set that has the same members, if the workload has one already.

    Raises ``Refused`` for no samples, for one named twice, and for one that is not a replayable sample of the workload.
    """
    if not sample_ids:
        raise Refused("a set needs at least one sample", field="sample_ids")
    found = 0

    def lines() -> Iterator[str]:
        nonlocal found
        for first in range(0, len(sample_ids), _LOOKUP):
            chosen = Sample.objects.filter(pk__in=sample_ids[first : first + _LOOKUP], workload=workload)
            rows = chosen.filter(replayable=True, purged_at__isnull=True)
            for external_id, digest in rows.values_list("external_id", "digest"):
                found += 1
                yield _line(external_id, digest)

    digest = set_digest(lines())
    if found != len(sample_ids) or len(np.unique(np.asarray(sample_ids))) != len(sample_ids):
        raise Refused("must be distinct replayable samples of the workload", field="sample_ids")
    sets = SampleSet.objects.filter(workload=workload, digest=digest)
    if (known := sets.first()) is not None:
        return known
    try:
        with transaction.atomic():
            frozen = SampleSet.objects.create(
                workload=workload,
                name=name[:200],
                digest=digest,
                size=len(sample_ids),
                method=dict(method),
                parent=parent,
                frozen_at=at,
                frozen_by=by.user,
            )
    except IntegrityError:  # frozen by somebody else since we looked
        return sets.get()
    for first in range(0, len(sample_ids), _AT_ONCE):
        part = enumerate(sample_ids[first : first + _AT_ONCE], start=first)
        insert_rows(
            SampleSetMember,
            ("sample_set", "sample", "position"),
            [(frozen.pk, sample_id, position) for position, sample_id in part],
        )
    _record(frozen, by=by, at=at)
    return frozen


@transaction.atomic
def freeze_members(
    *,
    workload: Workload,
    members: Members,
    size: int,
    name: str,
    method: Mapping[str, Any],
    by: audit.Actor,
    at: datetime,
) -> SampleSet:
    """The same for members that the database holds; none of them is looked at here.

    Raises ``Refused`` where one of them is not replayable.
    """
    if not members.all_usable():
        raise Refused("must be distinct replayable samples of the workload", field="sample_ids")
    digest = sorted_set_digest(members.lines())
    sets = SampleSet.objects.filter(workload=workload, digest=digest)
    if (known := sets.first()) is not None:
        return known
    try:
        with transaction.atomic():
            frozen = SampleSet.objects.create(
                workload=workload,
                name=name[:200],
                digest=digest,
                size=size,
                method=dict(method),
                frozen_at=at,
                frozen_by=by.user,
            )
    except IntegrityError:  # frozen by somebody else since we looked
        return sets.get()
    members.insert_into(frozen)
    _record(frozen, by=by, at=at)
    return frozen


@transaction.atomic
def freeze_part(
    *,
    parent: SampleSet,
    members: QuerySet[SampleSetMember],
    take: int,
    name: str,
    by: audit.Actor,
    at: datetime,
) -> SampleSet | None:
    """The set of the first ``take`` of ``members``, which are some of ``parent``'s, in its order; None: there are none.

    The workload's own set where it has one of the same members. ``name`` says what they are, after their number.
    """
    method = {"kind": "take", "take": take, "from": parent.pk}

    def copy(frozen: SampleSet) -> int:
        return _copy(members.order_by("position").values("sample_id", "position"), take, into=frozen)

    return _freeze_copy(
        parent.workload, copy, parent=parent, method=method, name=f"{parent.name}: {{n}} {name}", by=by, at=at
    )


@transaction.atomic
def freeze_inbox(*, plan: Plan, take: int, since: datetime | None, by: audit.Actor, at: datetime) -> SampleSet | None:
    """The set of ``take`` samples of the workload's pool that ``plan`` has not replayed; None: there are none left.

    Those that came ``since`` go first. Among equals the digests of their contents decide, which is as good as chance,
    and the same whoever asks.
    """
    method = {"kind": INBOX, "take": take, "since": None if since is None else since.isoformat()}
    waiting = inbox(plan).order_by("digest", "pk").values(sample_id=F("pk"), position=F("digest"))
    parts = (
        [waiting] if since is None else [waiting.filter(captured_at__gt=since), waiting.filter(captured_at__lte=since)]
    )

    def copy(frozen: SampleSet) -> int:
        copied = 0
        for part in parts:
            if copied < take:
                copied += _copy(part, take - copied, into=frozen, start=copied)
        return copied

    return _freeze_copy(plan.workload, copy, parent=None, method=method, name="{n} from the inbox", by=by, at=at)


def _freeze_copy(
    workload: Workload,
    copy: Callable[[SampleSet], int],
    *,
    parent: SampleSet | None,
    method: dict[str, Any],
    name: str,
    by: audit.Actor,
    at: datetime,
) -> SampleSet | None:
    """The set of the members that ``copy`` writes; the workload's own where it has one of the same; None: of none."""
    sets = SampleSet.objects.filter(workload=workload)
    try:
        with transaction.atomic():
            frozen = SampleSet.objects.create(
                workload=workload,
                digest=f"being frozen {uuid4().hex}",
                size=method["take"],
                method=method,
                parent=parent,
                frozen_at=at,
                frozen_by=by.user,
            )
            frozen.size = copy(frozen)
            if not frozen.size:
                raise _Useless(None)
            rows = frozen.members.order_by().values_list("sample__external_id", "sample__digest")
            frozen.digest = set_digest(_line(*row) for row in rows.iterator(chunk_size=_AT_ONCE))
            if (known := sets.filter(digest=frozen.digest).first()) is not None:
                raise _Useless(known)
            frozen.name = name.replace("{n}", str(frozen.size))[:200]
            frozen.save(update_fields=["digest", "size", "name"])
    except _Useless as useless:
        return useless.known
    _record(frozen, by=by, at=at)
    return frozen


def _copy(chosen: QuerySet[Any, Any], take: int, *, into: SampleSet, start: int = 0) -> int:
    """By the database alone, from rows of ``sample_id`` and ``position``, what orders them; returns how many."""
    rows, params = chosen[:take].query.sql_with_params()
    own = table(SampleSetMember)
    return run_sql(
        f"INSERT INTO {own} (sample_set_id, sample_id, position)"  # noqa: S608 - no value of anybody's
        " SELECT %s, chosen.sample_id, %s + ROW_NUMBER() OVER (ORDER BY chosen.position, chosen.sample_id) - 1"
        f" FROM ({rows}) AS chosen",
        (into.pk, start, *params),
    )


def _line(external_id: str, digest: str) -> str:
    return f"{external_id} {digest}"


def _record(frozen: SampleSet, *, by: audit.Actor, at: datetime) -> None:
    workload = frozen.workload
    audit.record(
        by=by,
        at=at,
        action="sample_set.frozen",
        object_type="sample_set",
        object_id=frozen.pk,
        object_label=frozen.name,
        team=workload.team,
        data={"workload": workload.slug, "size": frozen.size, "digest": frozen.digest, "method": frozen.method},
    )
