"""Made production requests for the demo, with the answers that are right.

Public surface: ``triage_samples``, ``claims_samples``, ``answer_key``. Each sample is a line of the native format.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

_OPENINGS = ("Hello,", "Hi team,", "Good morning,", "To whom it may concern,", "Hey,", "Dear support,", "")
_CLOSINGS = (
    "Please get back to me today.",
    "Thanks in advance.",
    "I have written twice already.",
    "My order number is {number}.",
    "This is urgent for us.",
    "Best regards",
)
_TRIAGE: dict[str, Sequence[str]] = {
    "billing": (
        "I was charged twice for invoice {number} and the refund has not arrived.",
        "The amount on my last statement does not match the plan that I signed up for.",
        "Why is there a late fee on account {number} when I paid on the first?",
    ),
    "shipping": (
        "Parcel {number} has been at the same depot for six days.",
        "The courier says delivered, but nobody rang and nothing is here.",
        "Can you send shipment {number} to my office address instead?",
    ),
    "returns": (
        "The shoes do not fit and I would like to send them back.",
        "I returned item {number} two weeks ago and still see no confirmation.",
        "How do I print a return label for a gift?",
    ),
    "technical": (
        "The app closes as soon as I open the camera, since the last update.",
        "Two-factor codes arrive ten minutes late and no longer work.",
        "Export {number} fails with a timeout every time.",
    ),
    "account": (
        "I need to change the e-mail address on my profile.",
        "My colleague left and I have to take over workspace {number}.",
        "Please merge my two customer accounts.",
    ),
    "cancellation": (
        "I want to cancel my subscription at the end of the month.",
        "Please close contract {number}, we moved to another provider.",
        "How long is the notice period if I stop today?",
    ),
}
_CLAIMS: dict[str, Sequence[str]] = {
    "motor": ("A lorry reversed into my parked car on the {day}.", "My windscreen cracked on the motorway."),
    "home": ("A pipe burst in the kitchen and the floor is ruined.", "The storm of the {day} took tiles off the roof."),
    "travel": ("Our flight on the {day} was cancelled and we paid for a hotel.", "My suitcase never arrived."),
    "health": ("I am sending the invoice of the clinic, number {number}.", "My physiotherapy was not reimbursed."),
    "liability": ("My son kicked a ball through the neighbour's window.", "I spilled coffee on a client's laptop."),
}
_LANGUAGES = ("en", "en", "en", "de", "fr")


def triage_samples(*, anchor: date, n: int = 1000) -> Iterator[dict[str, Any]]:
    """Support tickets to be sorted, as they came in over the month before ``anchor``."""
    return _samples("ticket", _TRIAGE, anchor=anchor, n=n, seed=11)


def claims_samples(*, anchor: date, n: int = 400) -> Iterator[dict[str, Any]]:
    """Claims to be sorted, each with what GPT-4 answered in production before it was shut down."""
    rng = random.Random(23)  # noqa: S311 - made data, repeatable
    names = sorted(_CLAIMS)
    for sample in _samples("claim", _CLAIMS, anchor=min(anchor, date(2026, 10, 20)), n=n, seed=12):
        right = rng.random() < 0.93
        category = sample["reference"] if right else rng.choice([name for name in names if name != sample["reference"]])
        sample["response"] = {
            "text": f'{{"category": "{category}"}}',
            "model": "gpt-4",
            "usage": {"prompt_tokens": 120 + rng.randrange(40), "completion_tokens": 9},
            "latency_ms": round(rng.lognormvariate(6.9, 0.35)),
            "finish_reason": "stop",
        }
        yield sample


def _samples(
    stem: str, texts: dict[str, Sequence[str]], *, anchor: date, n: int, seed: int
) -> Iterator[dict[str, Any]]:
    rng = random.Random(seed)  # noqa: S311 - made data, repeatable
    categories = sorted(texts)
    midnight = datetime.combine(anchor, time(), UTC)
    for number in range(1, n + 1):
        category = rng.choice(categories)
        facts = {"number": rng.randrange(100_000, 999_999), "day": f"{rng.randrange(1, 28)}th"}
        body = " ".join(
            part.format(**facts) for part in (rng.choice(_OPENINGS), rng.choice(texts[category]), rng.choice(_CLOSINGS))
        ).strip()
        yield {
            "id": f"{stem}-{number:05}",
            "occurred_at": (midnight - timedelta(minutes=rng.randrange(30 * 24 * 60))).isoformat(),
            "cluster": None,
            "segments": {"language": rng.choice(_LANGUAGES), "tier": rng.choice(("standard", "standard", "premium"))},
            "request": {
                "messages": [
                    {
                        "role": "system",
                        "content": "Sort the message into one category: "
                        + ", ".join(categories)
                        + '. Answer as JSON: {"category": "..."}',
                    },
                    {"role": "user", "content": f"[{stem} {number:05}] {body}"},
                ],
                "max_completion_tokens": 200,
            },
            "reference": category,
        }


def answer_key(samples: Iterator[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """What the simulated vendors need to answer like models: the last user text and the right reply."""
    for sample in samples:
        yield {
            "prompt": sample["request"]["messages"][-1]["content"],
            "answer": f'{{"category": "{sample["reference"]}"}}',
        }
