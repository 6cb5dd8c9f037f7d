"""What would be created before a model ends, listed before it is. Public surface: ``preparation``, ``Preparation``,
``Opening``, ``Asking``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import or_

from django.db.models import Q

from evaluations.models import Endpoint, Plan
from evaluations.selectors.estimates import cost_per_call
from pilots.models import Pilot
from pilots.selectors.end_of_life_report import EndOfLife, Line

_NOT_IN_A_SLUG = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Opening:
    """A pilot that would be opened as a draft."""

    line: Line
    slug: str
    plan_from: int | None  # an earlier plan of the workload whose criteria it takes over; None: there is none
    plan_from_slug: str
    incumbent_endpoint: int | None  # None: the recorded answers are the arm
    incumbent_endpoint_slug: str
    replay_cost: Decimal | None  # of both arms, for the whole need; None: not known


@dataclass(frozen=True, slots=True)
class Asking:
    """A team that would be asked to record answers."""

    line: Line


@dataclass(frozen=True, slots=True)
class Preparation:
    openings: tuple[Opening, ...]
    askings: tuple[Asking, ...]
    nothing: tuple[Line, ...]  # chosen, with a pilot and the answers that it needs
    currency: str
    digest: str  # of what would be created: the same list, the same digest

    @property
    def empty(self) -> bool:
        return not self.openings and not self.askings

    @property
    def replay_cost(self) -> Decimal:
        """Of the pilots whose cost is known."""
        return sum((one.replay_cost for one in self.openings if one.replay_cost is not None), Decimal(0))

    @property
    def replay_unknown(self) -> int:
        return sum(one.replay_cost is None for one in self.openings)

    @property
    def capture_cost(self) -> Decimal:
        known = (one.line.capture_cost for one in self.askings)
        return sum((cost for cost in known if cost is not None), Decimal(0))

    @property
    def capture_unknown(self) -> int:
        return sum(one.line.capture_cost is None for one in self.askings)


def preparation(found: EndOfLife, workloads: Iterable[str], *, candidate: Endpoint, at: datetime) -> Preparation:
    """For these of its workloads: a draft for each that has to move and has no pilot, a request for each that is short
    of recorded answers while the model still answers. A constant number of queries."""
    wanted = set(workloads)
    chosen = [line for line in found.lines if line.on.workload in wanted and line.on.depends]
    to_open = [line for line in chosen if line.on.needs_pilot]
    earlier = _earlier_plans([line.on.pk for line in to_open])
    names = _free_names(to_open, candidate)
    standing = found.standing
    own = Endpoint.objects.filter(model=standing.pk).select_related("model").order_by("slug").first()
    costs = cost_per_call(model=candidate.model, endpoint=candidate, currency=found.currency, at=at)
    incumbent = None if own is None else cost_per_call(model=own.model, endpoint=own, currency=found.currency, at=at)
    openings = []
    for line in to_open:
        endpoint = own if line.short and not standing.ended else None
        each = None if line.lengths is None else costs(line.lengths)
        if each is not None and endpoint is not None and incumbent is not None and line.lengths is not None:
            other = incumbent(line.lengths)
            each = None if other is None else each + other
        plan = earlier.get(line.on.pk)
        openings.append(
            Opening(
                line=line,
                slug=names[line.on.pk],
                plan_from=plan.pk if plan else None,
                plan_from_slug=plan.slug if plan else "",
                incumbent_endpoint=endpoint.pk if endpoint else None,
                incumbent_endpoint_slug=endpoint.slug if endpoint else "",
                replay_cost=None if each is None else line.on.need.samples * each,
            )
        )
    askings = tuple(Asking(line) for line in chosen if line.short and not standing.ended)
    busy = {line.on.pk for line in (*to_open, *(one.line for one in askings))}
    listed = [f"{one.slug} {one.incumbent_endpoint_slug} {one.plan_from_slug}" for one in openings]
    listed += [f"ask {one.line.on.workload} {one.line.short}" for one in askings]
    text = "\n".join([standing.model, str(standing.retires_on), candidate.slug, *listed])
    return Preparation(
        openings=tuple(openings),
        askings=askings,
        nothing=tuple(line for line in chosen if line.on.pk not in busy),
        currency=found.currency,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _earlier_plans(workloads: list[int]) -> dict[int, Plan]:
    """The newest plan of each."""
    return {plan.workload_id: plan for plan in Plan.objects.filter(workload__in=workloads).order_by("pk")}


def _free_names(lines: list[Line], candidate: Endpoint) -> dict[int, str]:
    """``workload-to-model``, with a number where there is a pilot or a plan of that name."""
    model = _NOT_IN_A_SLUG.sub("-", candidate.model.slug).strip("-")[:40]
    stems = {line.on.pk: f"{line.on.workload[: 76 - len(model) - 4]}-to-{model}" for line in lines}
    begins_alike = reduce(or_, (Q(slug__startswith=stem) for stem in sorted(set(stems.values()))), Q(pk=None))
    taken = {
        *Pilot.objects.filter(begins_alike).values_list("slug", flat=True),
        *Plan.objects.filter(begins_alike).values_list("slug", flat=True),
    }
    names: dict[int, str] = {}
    for pk, stem in stems.items():
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names[pk] = name
    return names
