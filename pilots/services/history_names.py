"""From the names in a history file to teams, workloads and models; unknown ones are created.

Public surface: ``Names``, ``vendor_of``, ``slug_from``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from datetime import datetime

from django.utils.text import slugify

from evaluations.models import ModelVersion, Team, Vendor, Workload
from evaluations.services.audit import Actor, Link, record_all
from pilots.services.history_rows import HistoryRow

# How the names of a vendor's models begin.
_VENDORS = (
    (r"(gpt|chatgpt|o[1-9])\b|davinci|codex", "openai", "OpenAI"),
    (r"claude", "anthropic", "Anthropic"),
    (r"gemini|gemma|palm\b", "google", "Google"),
    (r"mai\b|phi\b", "microsoft", "Microsoft"),
    (r"llama", "meta", "Meta"),
    (r"mistral|mixtral|magistral|ministral|codestral|pixtral", "mistral", "Mistral"),
    (r"deepseek", "deepseek", "DeepSeek"),
    (r"qwen|qwq", "alibaba", "Alibaba"),
    (r"grok", "xai", "xAI"),
    (r"command\b", "cohere", "Cohere"),
    (r"nova\b|titan\b", "amazon", "Amazon"),
)
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,80}")


def vendor_of(model: str) -> tuple[str, str]:
    """Slug and name of the vendor, guessed from how the model's name begins; else a vendor of the model's own name."""
    for pattern, slug, name in _VENDORS:
        if re.match(pattern, model, re.IGNORECASE):
            return slug, name
    return slug_from(model, (), "vendor"), model


def slug_from(text: str, taken: Container[str], otherwise: str) -> str:
    """``text`` itself where it is a slug, else made one; numbered where it is taken."""
    slug = text if _SLUG.fullmatch(text) else slugify(re.sub(r"[./:@]+", "-", text))[:80].strip("-") or otherwise
    candidate, number = slug, 1
    while candidate in taken:
        number += 1
        candidate = f"{slug[:76]}-{number}"
    return candidate


class Names:
    """Everything known by name. A name is a slug, or the name that people see.

    ``create`` adds what a file names and nobody knows yet, in bulk and audited; after it every look-up succeeds.
    """

    def __init__(self) -> None:
        self._teams = {team.slug: team for team in Team.objects.all()}
        self._teams_by_name = {team.name: team for team in reversed(self._teams.values())}
        workloads = list(Workload.objects.select_related("team"))
        self._workload_slugs = {workload.slug for workload in workloads}
        self._workloads = {(workload.team_id, workload.name): workload for workload in reversed(workloads)}
        self._workloads |= {(workload.team_id, workload.slug): workload for workload in workloads}
        self._vendors = {vendor.slug: vendor for vendor in Vendor.objects.all()}
        models = ModelVersion.objects.select_related("vendor")
        self._models = {model.slug.casefold(): model for model in models}

    def is_team(self, text: str) -> bool:
        return text in self._teams or text in self._teams_by_name

    def team(self, text: str) -> Team:
        return self._teams.get(text) or self._teams_by_name[text]

    def workload(self, team: Team, text: str) -> Workload:
        """The team's workload of that name; another team's of the same name is another workload."""
        return self._workloads[team.pk, text]

    def model(self, text: str) -> ModelVersion:
        """The model, whatever the case it is written in."""
        return self._models[_model_slug(text).casefold()]

    def create(self, rows: Sequence[HistoryRow], *, by: Actor, at: datetime) -> None:
        """Teams, workloads, vendors and models of ``rows`` that are not known yet."""
        links = self._create_teams(dict.fromkeys(row.team for row in rows))
        links += self._create_workloads(dict.fromkeys((row.team, row.workload) for row in rows))
        models = dict.fromkeys(text for row in rows for text in (row.incumbent, row.candidate, row.to_model) if text)
        links += self._create_models(models)
        record_all(links, by=by, at=at)

    def _create_teams(self, texts: Iterable[str]) -> list[Link]:
        fresh = []
        for text in texts:
            if text not in self._teams and text not in self._teams_by_name:
                team = Team(slug=slug_from(text, self._teams, "team"), name=text)
                self._teams[team.slug] = self._teams_by_name[text] = team
                fresh.append(team)
        Team.objects.bulk_create(fresh, batch_size=500)
        return [_link("team.created", team, team) for team in fresh]

    def _create_workloads(self, texts: Iterable[tuple[str, str]]) -> list[Link]:
        fresh = []
        for team_text, text in texts:
            team = self.team(team_text)
            if (team.pk, text) in self._workloads:
                continue
            slug = slug_from(text, (), "workload")
            if slug in self._workload_slugs:
                slug = slug_from(f"{team.slug}-{slug}"[:80], self._workload_slugs, "workload")
            workload = Workload(slug=slug, team=team, name=text)
            self._workload_slugs.add(slug)
            self._workloads[team.pk, text] = self._workloads[team.pk, slug] = workload
            fresh.append(workload)
        Workload.objects.bulk_create(fresh, batch_size=500)
        return [_link("workload.created", workload, workload.team) for workload in fresh]

    def _create_models(self, texts: Iterable[str]) -> list[Link]:
        vendors: list[Vendor] = []
        fresh: list[ModelVersion] = []
        for text in texts:
            slug = _model_slug(text)
            if slug.casefold() in self._models:
                continue
            vendor_slug, vendor_name = vendor_of(text)
            if vendor_slug not in self._vendors:
                self._vendors[vendor_slug] = Vendor(slug=vendor_slug, name=vendor_name)
                vendors.append(self._vendors[vendor_slug])
            model = ModelVersion(slug=slug, vendor=self._vendors[vendor_slug])
            self._models[slug.casefold()] = model
            fresh.append(model)
        Vendor.objects.bulk_create(vendors)
        for model in fresh:
            model.vendor = model.vendor  # its key is known only now
        ModelVersion.objects.bulk_create(fresh)
        rows: list[Vendor | ModelVersion] = [*vendors, *fresh]
        return [_link("catalogue.created", row) for row in rows]


def _model_slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._:@-]+", "-", text).strip("-._:@") or "model"


def _link(action: str, row: Team | Workload | Vendor | ModelVersion, team: Team | None = None) -> Link:
    return Link(
        action=action,
        object_type=row._meta.model_name or "",
        object_id=row.pk,
        object_label=row.slug,
        team=team,
    )
