"""Where a few typed letters may lead. Public surface: ``jump_targets``, ``Group``, ``Target``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.db.models import Q

from evaluations.models import ModelVersion
from pilots.enums import PilotStatus
from pilots.selectors.access import PilotAccess

EACH = 6


@dataclass(frozen=True, slots=True)
class Target:
    kind: Literal["pilot", "workload", "run", "model", "page"]
    key: str  # slug, number or URL name
    label: str
    detail: str


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    targets: tuple[Target, ...]


_PAGES = (
    ("home", "Home", "what needs attention"),
    ("attention", "Attention", "all that waits, and what was put off"),
    ("list", "Pilots", "the portfolio"),
    ("workloads", "Workloads", "samples and sets"),
    ("reviews", "My reviews", "answers to judge blind"),
    ("open", "Open a pilot", "command"),
    ("bring-history", "Bring your spreadsheet", "past switches"),
    ("retention", "Retention", "who stayed"),
    ("rollback-reasons", "Rollback reasons", "why others went back"),
    ("predictiveness", "Predictiveness", "what verdicts foretold"),
    ("costs", "Costs", "a request, a success, break-even prices"),
    ("savings", "Savings", "what switches have saved since the cutover"),
    ("drift", "Drift", "models that moved, night by night"),
    ("claims", "Claims", "what vendors say, against our replays"),
    ("end-of-life", "End of life", "models that end, and what is on them"),
    ("catalogue", "Catalogue", "models, endpoints, prices"),
    ("traffic", "Traffic", "observed usage, mapping rules"),
    ("exports", "Exports", "workbooks"),
    ("audit", "Audit", "who did what"),
    ("notices", "Notifications", "what happened"),
    ("notice-settings", "How I am told", "e-mail, daily digest"),
    ("webhooks", "Webhooks", "who else is told"),
)


def jump_targets(access: PilotAccess, search: str) -> tuple[Group, ...]:
    """Pilots and workloads by name, runs by number, models by name, and pages; only what the person may see."""
    pilots = access.pilots().exclude(status=PilotStatus.VOID).select_related("workload", "incumbent", "candidate")
    models = ModelVersion.objects.select_related("vendor")
    if search:
        pilots = pilots.filter(
            Q(slug__icontains=search) | Q(workload__name__icontains=search) | Q(workload__slug__icontains=search)
        )
        models = models.filter(Q(slug__icontains=search) | Q(vendor__name__icontains=search))
    number = search.removeprefix("run").strip()
    runs = (
        access.runs().filter(pk=int(number)).select_related("plan_version__plan")
        if number.isascii() and number.isdigit() and len(number) < 19
        else ()
    )
    groups = (
        Group("Runs", tuple(Target("run", str(r.pk), f"Run {r.pk}", r.plan_version.plan.slug) for r in runs)),
        Group(
            "Pilots",
            tuple(
                Target("pilot", p.slug, p.slug, f"{p.workload.name}, {p.incumbent} to {p.candidate}")
                for p in pilots.order_by("slug")[:EACH]
            ),
        ),
        Group(
            "Workloads",
            tuple(
                Target("workload", w.slug, w.name, w.slug)
                for w in access.workloads()
                .filter(Q(name__icontains=search) | Q(slug__icontains=search))
                .order_by("name")[:EACH]
            )
            if search
            else (),
        ),
        Group(
            "Models",
            tuple(Target("model", m.slug, m.slug, m.vendor.name) for m in models.order_by("slug")[:EACH])
            if search
            else (),
        ),
        Group(
            "Pages",
            tuple(
                Target("page", name, label, detail)
                for name, label, detail in _PAGES
                if search.lower() in f"{label} {detail}".lower()
            ),
        ),
    )
    return tuple(group for group in groups if group.targets)
