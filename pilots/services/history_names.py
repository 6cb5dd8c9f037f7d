"""From the names in a history file to teams, workloads and models; unknown ones are created through their doors.

Public surface: ``Names``, ``vendor_of``, ``slug_from``.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import datetime

from django.utils.text import slugify

from evaluations.models import ModelVersion, Team, Vendor, Workload
from evaluations.services.audit import Actor
from evaluations.services.catalogue import save_model, save_vendor
from evaluations.services.teams import save_team, save_workload

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
    """Everything known by name, and what this import added to it. A name is a slug or the name given to people."""

    def __init__(self, *, by: Actor, at: datetime) -> None:
        self.by, self.at = by, at
        self._teams = {team.slug: team for team in Team.objects.all()}
        self._teams_by_name = {team.name: team for team in reversed(self._teams.values())}
        workloads = list(Workload.objects.select_related("team"))
        self._workload_slugs = {workload.slug for workload in workloads}
        self._workloads = {(workload.team_id, workload.name): workload for workload in reversed(workloads)}
        self._workloads |= {(workload.team_id, workload.slug): workload for workload in workloads}
        self._vendors = {vendor.slug: vendor for vendor in Vendor.objects.all()}
        self._models = {model.slug: model for model in ModelVersion.objects.select_related("vendor")}
        self._models_by_name = {slug.casefold(): model for slug, model in self._models.items()}

    def team(self, text: str) -> Team:
        team = self._teams.get(text) or self._teams_by_name.get(text)
        if team is None:
            slug = slug_from(text, self._teams, "team")
            team, _ = save_team(slug=slug, name=text, by=self.by, at=self.at)
            self._teams[slug] = self._teams_by_name[text] = team
        return team

    def workload(self, team: Team, text: str) -> Workload:
        """The team's workload of that name; another team's of the same name is another workload."""
        workload = self._workloads.get((team.pk, text))
        if workload is None:
            slug = slug_from(text, (), "workload")
            if slug in self._workload_slugs:
                slug = slug_from(f"{team.slug}-{slug}"[:80], self._workload_slugs, "workload")
            workload, _ = save_workload(slug=slug, team=team, name=text, by=self.by, at=self.at)
            self._workload_slugs.add(slug)
            self._workloads[team.pk, text] = self._workloads[team.pk, slug] = workload
        return workload

    def model(self, text: str) -> ModelVersion:
        """The model, whatever the case it is written in."""
        slug = re.sub(r"[^A-Za-z0-9._:@-]+", "-", text).strip("-._:@") or "model"
        model = self._models.get(slug) or self._models_by_name.get(slug.casefold())
        if model is None:
            model, _ = save_model(slug=slug, vendor=self._vendor(text), by=self.by, at=self.at)
            self._models[slug] = self._models_by_name[slug.casefold()] = model
        return model

    def _vendor(self, model: str) -> Vendor:
        slug, name = vendor_of(model)
        if slug not in self._vendors:
            self._vendors[slug], _ = save_vendor(slug=slug, name=name, by=self.by, at=self.at)
        return self._vendors[slug]
