"""Copies for one vendor: its own models' rows, without the names of teams or of other vendors' models.

Public surface: ``copy_for``, ``Copy``, ``OTHER_MODEL``. ``Copy`` is what every export asks how things are called; in
any other file they are called by their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from django.db.models import Q, QuerySet

from evaluations.models import ModelVersion, Vendor
from pilots.exporters.base import ExportRequest
from pilots.exporters.words import NO_CONTENT_LEFT_OUT, filter_words
from pilots.models import Pilot
from pilots.selectors.registers import Names
from pilots.selectors.retention import Answer, ReasonCount, SpellRow

OTHER_MODEL = "another vendor's model"


class Copy:
    """How a file for everybody in the house calls things: by their names."""

    vendor = ""
    left_out: tuple[str, ...] = ()

    def __init__(self, request: ExportRequest) -> None:
        self.request = request
        self.pilots: QuerySet[Pilot] = request.pilots

    @property
    def who(self) -> str:
        return self.request.who

    @property
    def filters(self) -> Mapping[str, str]:
        return filter_words(self.request.filters)

    def pilot(self, slug: str, team: str) -> str:
        return slug

    def workload(self, slug: str, team: str) -> str:
        return slug

    def team(self, slug: str) -> str:
        return slug

    def model(self, slug: str) -> str:
        return slug

    def group(self, by: str, key: str) -> str:
        """The key of one of a report's groups."""
        return key

    def owns(self, slug: str) -> bool:
        """Whether the model is the vendor's own; in a file for the house none is foreign."""
        return True

    def answer(self, answer: Answer) -> Answer:
        return answer

    def names(self, names: Names) -> Names:
        return names


class _VendorCopy(Copy):
    """Things have numbers, in the order in which they turn up; teams that the copy was asked for keep their names."""

    def __init__(self, request: ExportRequest) -> None:
        super().__init__(request)
        self.vendor = request.vendor
        self._name = Vendor.objects.values_list("name", flat=True).get(slug=request.vendor)
        self._own = set(ModelVersion.objects.filter(vendor__slug=request.vendor).values_list("slug", flat=True))
        self._named = set(request.filters.team)
        self._numbers: dict[str, dict[str, int]] = defaultdict(dict)
        self.pilots = request.pilots.filter(
            Q(incumbent__vendor__slug=self.vendor) | Q(candidate__vendor__slug=self.vendor)
        )
        self.left_out = (
            f"Every row that is not about a model of {self._name}.",
            "What other vendors' models are called, cost and achieved.",
            "The names of teams, workloads and pilots, and of people; they have numbers, for this file alone.",
            NO_CONTENT_LEFT_OUT,
        )

    @property
    def who(self) -> str:
        return self._name

    @property
    def filters(self) -> Mapping[str, str]:
        """As given, without what would name somebody."""
        given = self.request.filters
        asked = filter_words(replace(given, pilot=(), workload=(), vendor=()))
        narrowed = {"pilot": given.pilot, "workload": given.workload}
        asked |= {name: f"{len(values)}, not named here" for name, values in narrowed.items() if values}
        asked |= {
            name: ", ".join(map(self.model, values))
            for name, values in (("incumbent", given.incumbent), ("candidate", given.candidate))
            if values
        }
        return asked

    def pilot(self, slug: str, team: str) -> str:
        return slug if team in self._named else self._number("Pilot", slug)

    def workload(self, slug: str, team: str) -> str:
        return slug if team in self._named else self._number("Workload", slug)

    def team(self, slug: str) -> str:
        return slug if slug in self._named else self._number("Team", slug)

    def model(self, slug: str) -> str:
        return slug if self.owns(slug) else OTHER_MODEL

    def group(self, by: str, key: str) -> str:
        if by == "team":
            return self.team(key)
        if by in ("incumbent", "candidate"):
            return self.model(key)
        return self._number("Group", key) if by in ("vendor", "workload") else key

    def owns(self, slug: str) -> bool:
        return slug in self._own

    def answer(self, answer: Answer) -> Answer:
        spells = tuple(self._spell(spell) for spell in answer.spells)
        called = {before.pilot: after.pilot for before, after in zip(answer.spells, spells, strict=True)}
        reasons = tuple(
            ReasonCount(reason.code, reason.count, tuple(called[pilot] for pilot in reason.pilots))
            for reason in answer.reasons
        )
        periods = len(spells)
        headline = f"{periods} period{'' if periods == 1 else 's'} of switches from or to models of {self._name}."
        return replace(answer, headline=headline, spells=spells, reasons=reasons)

    def _spell(self, spell: SpellRow) -> SpellRow:
        return replace(
            spell,
            pilot=self.pilot(spell.pilot, spell.team),
            workload=self.workload(spell.workload, spell.team),
            team=self.team(spell.team),
            incumbent=self.model(spell.incumbent),
            candidate=self.model(spell.candidate),
            to_model=spell.to_model and self.model(spell.to_model),
        )

    def names(self, names: Names) -> Names:
        """A number is its own name."""
        return Names(_Same(names.teams), _Same(names.workloads), _Same(names.vendors))

    def _number(self, kind: str, slug: str) -> str:
        numbers = self._numbers[kind]
        return f"{kind} {numbers.setdefault(slug, len(numbers) + 1)}"


class _Same(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return key


def copy_for(request: ExportRequest) -> Copy:
    return _VendorCopy(request) if request.vendor else Copy(request)
