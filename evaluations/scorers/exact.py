"""The reply equals, or contains, the reference. Public surface: ``Exact``, ``Contains``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.scorers.base import Answer, Score, Unscored
from evaluations.scorers.config import choice, known_keys, switch
from evaluations.scorers.text import as_text, normalised, shown, verdict


class Exact:
    """``{normalise: false}``: the whole reply equals the reference, optionally after normalising both."""

    key = "exact"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "normalise")
        switch(config, "normalise")

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        if answer.reference is None:
            return Unscored("no_reference")
        prepare = normalised if switch(config, "normalise") else str
        expected = as_text(answer.reference)
        return verdict(prepare(answer.text) == prepare(expected), f"expected {shown(expected)}")


class Contains:
    """``{normalise: false, match: all | any}``: the reply contains the reference, or all/any of a list of them."""

    key = "contains"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "normalise", "match")
        switch(config, "normalise")
        choice(config, "match", ("all", "any"))

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        prepare = normalised if switch(config, "normalise") else str
        references = answer.reference if isinstance(answer.reference, list) else [answer.reference]
        wanted = [prepare(as_text(reference)) for reference in references if reference is not None]
        if not wanted or not all(wanted):  # an empty text is contained in everything and would prove nothing
            return Unscored("no_reference")
        text = prepare(answer.text)
        found = sum(part in text for part in wanted)
        needed = len(wanted) if choice(config, "match", ("all", "any")) == "all" else 1
        return verdict(found >= needed, f"{found} of {len(wanted)} found")
