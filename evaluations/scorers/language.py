"""The reply is in the expected language. Public surface: ``Language``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.scorers.base import Answer, Score, Unscored
from evaluations.scorers.config import choice, known_keys
from evaluations.scorers.languages import LANGUAGES, language_of
from evaluations.scorers.text import as_text, verdict

_EXPECTED = ("prompt", "reference", *sorted(LANGUAGES))


class Language:
    """``{expected: prompt | reference | de | ...}``: the reply is in the language of the prompt, of the reference,
    or in the named one (ISO 639-1).

    The prompt is the last user message. Where a language is not clear, as the text is too short, all code, mixed, or of
    a language that is not known here, there is no score.
    """

    key = "language"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "expected")
        choice(config, "expected", _EXPECTED)

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        expected = choice(config, "expected", _EXPECTED)
        if expected == "reference":
            if answer.reference is None:
                return Unscored("no_reference")
            expected = language_of(as_text(answer.reference)) or ""
        elif expected == "prompt":
            expected = language_of(_prompt(answer.request)) or ""
        if not expected:
            return Unscored("expected_language_unclear")
        given = language_of(answer.text)
        if given is None:
            return Unscored("language_unclear")
        return verdict(given == expected, f"{given}, expected {expected}")


def _prompt(request: Mapping[str, Any]) -> str:
    """The text of the last user message of a chat request; '' without one."""
    messages = request.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, Mapping) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = content if isinstance(content, list) else []
            texts = (part.get("text") for part in parts if isinstance(part, Mapping))
            return "\n".join(text for text in texts if isinstance(text, str))
    return ""
