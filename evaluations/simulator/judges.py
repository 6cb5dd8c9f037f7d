"""A simulated model that is asked to judge two answers, or to mark one. Public surface: ``JUDGES``, ``judgement``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from evaluations.simulator.dialects.base import Conversation


def judgement(kind: str, conversation: Conversation) -> str | None:
    """What a judge of this ``kind`` says of the question that a plan's judge is asked; None: it is another question."""
    try:
        asked = json.loads(next((text for role, text in reversed(conversation) if role == "user"), ""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or not ({"first", "second"} <= asked.keys() or "answer" in asked):
        return None
    return JUDGES[kind](asked)


def _right(asked: Mapping[str, Any], name: str) -> bool:
    """The answer is the reference, or a JSON object that holds it."""
    answer, reference = str(asked[name]).strip(), asked.get("reference")
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        said = answer
    return reference is not None and (
        answer == str(reference) or (isinstance(said, dict) and reference in said.values())
    )


def _honest(asked: Mapping[str, Any]) -> str:
    """Prefers the answer that is the reference; marks it 5 and any other 1."""
    if "answer" in asked:
        return json.dumps({"reason": "As expected or not.", "score": 5 if _right(asked, "answer") else 1})
    first, second = _right(asked, "first"), _right(asked, "second")
    better = "tie" if first is second else "first" if first else "second"
    return json.dumps({"reason": "As expected or not.", "better": better})


def _first_shown(asked: Mapping[str, Any]) -> str:
    """Prefers what it sees first, whatever it is; marks everything 5."""
    said: dict[str, Any] = {"score": 5} if "answer" in asked else {"better": "first"}
    return json.dumps({"reason": "It reads well.", **said})


def _chatty(asked: Mapping[str, Any]) -> str:
    """Has an opinion, and says it in its own words."""
    return "Both are fine answers, but I would say that the first one is better: 5 of 5!"


JUDGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "honest": _honest,
    "first_shown": _first_shown,
    "chatty": _chatty,
}
