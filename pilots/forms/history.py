"""Bring a spreadsheet of past switches. Public surface: ``BringHistoryForm``, ``ColumnsForm``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from pilots.forms.base import ServiceForm
from pilots.services.history_rows import COLUMNS, REQUIRED

# What each of our columns holds, for whoever looks for it in a sheet of their own.
_HELP = {
    "team": "The business unit or customer.",
    "workload": "What the model is used for.",
    "pilot": "One move of one workload. Becomes part of addresses.",
    "incumbent": "The model it ran on.",
    "candidate": "The model it was to move to.",
    "event": "opened, decided, ramp, cutover, follow_up, rollback, superseded, ended, declined, abandoned, alongside.",
    "occurred_at": "A day or an instant, UTC where no zone is written.",
    "traffic_share": "Of a ramp or cutover: 0.25 or 25 %.",
    "reason": "Of a rollback: quality, cost, latency, ...",
    "to_model": "Of a rollback or of a move to a third model.",
    "attachment": "Of a rollback: incident:INC-7, invoice:..., url:..., note:...",
    "note": "Free text.",
    "observed_from": "Of a cutover, where it is known only since a later day.",
}


class BringHistoryForm(ServiceForm):
    file = forms.FileField(
        label="Your spreadsheet",
        allow_empty_file=True,  # said in the same words as everything else that is wrong with a file
        max_length=1000,
        help_text="CSV or XLSX, its first sheet, one event a row. Its columns may be called as you like.",
    )


class ColumnsForm(ServiceForm):
    """For each of our columns, the file's column that holds it."""

    def __init__(
        self, headers: Sequence[str], mapping: Mapping[str, str], data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=dict(mapping))
        for column in COLUMNS:
            self.fields[column] = forms.ChoiceField(
                choices=[("", "not in the file"), *((header, header) for header in headers)],
                required=column in REQUIRED,
                label=column.replace("_", " ").capitalize(),
                help_text=_HELP[column],
                error_messages={"required": "Choose the column that holds it."},
            )
