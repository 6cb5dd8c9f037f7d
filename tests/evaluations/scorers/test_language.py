"""Which language a reply is in: measured on the translations that Django's authors made of Django itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from evaluations.scorers.base import Answer, Score, Scored, Unscored
from evaluations.scorers.languages import LANGUAGES, language_of
from evaluations.scorers.registry import SCORERS

ROOT = Path(django.__file__).parent
FOLDERS = {"no": "nb", "zh": "zh_Hans"}
CLOSE = {"da", "no"}  # one written language, almost
_TEXT = r"((?:\"[^\n]*\"\n?)+)"
_ENTRY = re.compile(rf"^msgid {_TEXT}(?:msgid_plural {_TEXT})?msgstr(?:\[0\])? {_TEXT}", re.MULTILINE)


def messages(language: str) -> Iterator[str]:
    """Whole sentences of one language: placeholders and marks of the format left off."""
    folder = FOLDERS.get(language, "de" if language == "en" else language)
    for file in sorted(ROOT.glob(f"**/locale/{folder}/LC_MESSAGES/django.po")):
        for original, _, translated in _ENTRY.findall(file.read_text(encoding="utf-8").replace("#, fuzzy\n", "#~ ")):
            text = "".join(re.findall(r'"(.*)"', original if language == "en" else translated))
            text = re.sub(r"%\(\w+\)[sd]|%[sd]|\\n|\{[^}]*\}", "", text)
            if len(text) > 25 and any(original.strip('"\n')):
                yield text


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_three_messages_are_told_apart(language: str) -> None:
    found = list(messages(language))
    groups = [" ".join(found[at : at + 3]) for at in range(0, len(found) - 2, 3)]
    told = Counter(language_of(group) for group in groups)
    assert len(groups) > 15
    wrong = len(groups) - told[language] - told[None]
    assert wrong <= 0.03 * len(groups), told
    assert told[language] >= (0.35 if language in CLOSE else 0.8) * len(groups), told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "billing",
        "OK.",
        "```python\nfor the of and to in:\n    pass\n```",
        "https://example.com/the/of/and/to/in/is",
        "AB-12, CD-34, EF-56",
        "Das ist heute ein guter Tag. 猫は座っています。",
    ],
)
def test_what_is_not_clear_is_no_language(text: str) -> None:
    assert language_of(text) is None


GERMAN = "Ihre Bestellung ist heute bei uns angekommen und wird morgen mit der Post zu Ihnen geschickt."
ENGLISH = "Your order has arrived at our house today, and it will be sent to you by mail."


def judged(text: str, prompt: Any, reference: Any = None, **config: Any) -> Score:
    scorer = SCORERS.get("language")
    scorer.validate(config)
    messages = [{"role": "system", "content": ENGLISH}, {"role": "user", "content": prompt}]
    messages.append({"role": "assistant", "content": ENGLISH})
    return scorer.score(Answer(text=text, reference=reference, request={"messages": messages}), config)


@pytest.mark.parametrize("prompt", [GERMAN, [{"type": "image_url"}, {"type": "text", "text": GERMAN}]])
def test_the_prompt_is_the_last_user_message(prompt: Any) -> None:
    assert judged(GERMAN, prompt) == Scored(1.0, "de, expected de")
    assert judged(ENGLISH, prompt) == Scored(0.0, "en, expected de")


def test_the_expected_language_is_named_or_that_of_the_reference() -> None:
    assert judged(ENGLISH, GERMAN, expected="en") == Scored(1.0, "en, expected en")
    assert judged(ENGLISH, GERMAN, GERMAN, expected="reference") == Scored(0.0, "en, expected de")
    assert judged(ENGLISH, GERMAN, expected="reference") == Unscored("no_reference")


def test_without_a_clear_language_there_is_no_score() -> None:
    assert judged("Billing", GERMAN) == Unscored("language_unclear")
    assert judged(GERMAN, "42") == Unscored("expected_language_unclear")
    scorer = SCORERS.get("language")
    for request in ({}, {"messages": 5}, {"messages": [5, {"role": "user", "content": [5]}]}):
        assert scorer.score(Answer(text=GERMAN, request=request), {}) == Unscored("expected_language_unclear")
