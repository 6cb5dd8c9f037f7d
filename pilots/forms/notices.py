"""How one is told, and whom else to tell. Public surface: ``NoticeSettingsForm``, ``WebhookForm``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

from django import forms

from evaluations.models import Team
from pilots.enums import NoticeKind, NoticeMode
from pilots.forms.base import ServiceForm
from pilots.services.spreading import WEBHOOK_KINDS

_USUAL = "as usual"


def _field_of(kind: NoticeKind) -> str:
    return kind.value.replace(".", "_")


class NoticeSettingsForm(ServiceForm):
    """One choice for each kind; empty follows the default."""

    timezone = forms.ChoiceField(label="My time zone", help_text="The daily e-mail comes on its clock.")
    digest_hour = forms.TypedChoiceField(
        choices=[(hour, f"{hour:02}:00") for hour in range(24)], coerce=int, label="Daily e-mail from"
    )

    def __init__(
        self,
        data: Any = None,
        *,
        modes: Mapping[NoticeKind, NoticeMode] | None = None,
        timezone: str = "UTC",
        digest_hour: int = 8,
    ) -> None:
        super().__init__(data)
        zones: Any = self.fields["timezone"]
        zones.choices = [(name, name) for name in sorted(available_timezones())]
        self.fields["timezone"].initial, self.fields["digest_hour"].initial = timezone, digest_hour
        choices = [("", _USUAL.capitalize()), *((mode.value, mode.label.capitalize()) for mode in NoticeMode)]
        for kind in NoticeKind:
            self.fields[_field_of(kind)] = forms.TypedChoiceField(
                choices=choices,
                coerce=NoticeMode,
                empty_value=None,
                required=False,
                label=kind.label.capitalize(),
                initial=(modes or {}).get(kind, ""),
            )

    def kind_fields(self) -> list[forms.BoundField]:
        return [self[_field_of(kind)] for kind in NoticeKind]

    def modes(self) -> dict[NoticeKind, NoticeMode]:
        """What was chosen; kinds left as usual are not in it."""
        found = {kind: self.cleaned_data[_field_of(kind)] for kind in NoticeKind}
        return {kind: mode for kind, mode in found.items() if mode is not None}


class WebhookForm(ServiceForm):
    """An address of a team's, and what is told there."""

    team = forms.TypedChoiceField(label="Team")
    url = forms.CharField(
        max_length=500,
        label="Address",
        help_text="https on the public internet, or what PILOTS_EGRESS_ALLOW lists. Redirects are not followed.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
    )
    kinds = forms.TypedMultipleChoiceField(
        choices=[(kind.value, f"{kind.label.capitalize()} ({kind.value})") for kind in WEBHOOK_KINDS],
        coerce=NoticeKind,
        initial=[kind.value for kind in WEBHOOK_KINDS],
        label="What it is told",
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, data: Any = None, *, teams: Sequence[Team]) -> None:
        super().__init__(data)
        by_slug = {team.slug: team for team in teams}
        team: Any = self.fields["team"]
        team.choices = [(slug, team.name) for slug, team in by_slug.items()]
        team.coerce = by_slug.__getitem__
