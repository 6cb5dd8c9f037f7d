"""Real replies of five models, and the score each was given in the published runs (ZeroEval, data/gsm8k/README.md)."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluations.scorers.base import Answer, Scored
from evaluations.scorers.registry import SCORERS
from tests.shared_data import shared_data

FILES = (
    "replay.gpt-3.5-turbo-0125__claude-3-haiku-20240307.jsonl.gz",
    "replay.gpt-4o-2024-08-06__claude-3-5-sonnet-20240620.jsonl.gz",
    "replay.gpt-4o-2024-08-06__gemini-1.5-pro.jsonl.gz",
)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.parametrize("name", FILES)
def test_json_field_numeric_gives_every_published_score(name: str) -> None:
    scorer, config = SCORERS.get("json_field"), {"field": "answer", "compare": "numeric"}
    references = {row["item_id"]: row["reference"] for row in rows(shared_data("gsm8k", "items.jsonl.gz"))}
    published = json.loads(shared_data("gsm8k", "reference.json").read_text())["models"]
    passed: Counter[str] = Counter()
    differing = []
    for row in rows(shared_data("gsm8k", name)):
        result = scorer.score(Answer(text=row["output"], reference=references[row["item_id"]]), config)
        assert isinstance(result, Scored)
        passed[row["model"]] += int(result.value)
        if result.value != row["score"]:
            differing.append((row["item_id"], row["model"], result))
    assert differing == []
    assert passed == {model: published[model]["passed"] for model in passed}
    assert len(passed) == 2
