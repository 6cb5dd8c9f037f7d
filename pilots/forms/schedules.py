"""When a pilot is replayed. Public surface: ``ScheduleForm``."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms

from pilots.enums import CatchUp
from pilots.forms.base import ServiceForm
from pilots.selectors.schedules import ScheduleFacts
from pilots.services.schedules import DEFAULT_TAKE


class ScheduleForm(ServiceForm):
    """A cron line on the clock of a place, and how many new samples each time."""

    cron = forms.CharField(
        max_length=120,
        initial="0 2 * * *",
        label="When",
        help_text="A cron line: minute, hour, day, month, weekday. 0 2 * * * is every night at two, 30 6 * * 1 is"
        " Mondays at half past six.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    timezone = forms.ChoiceField(
        initial="UTC",
        label="On the clock of",
        help_text="Where clocks are set, each local day still has its one replay.",
    )
    take = forms.IntegerField(
        min_value=1,
        max_value=10_000_000,
        initial=DEFAULT_TAKE,
        label="Samples each time",
        help_text="That many of the newest set which the plan has not replayed yet. None left: no call.",
    )
    catch_up = forms.TypedChoiceField(
        choices=CatchUp.choices(),
        initial=CatchUp.ONCE.value,
        label="After an outage",
        coerce=CatchUp,
    )

    def __init__(self, data: Any = None, *, schedule: ScheduleFacts | None) -> None:
        super().__init__(data)
        zones: Any = self.fields["timezone"]
        zones.choices = [(name, name) for name in sorted(available_timezones())]
        if schedule is not None:
            for name in self.fields:
                self.fields[name].initial = getattr(schedule, name)
