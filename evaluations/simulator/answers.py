"""What a simulated model says.

Public surface: ``Recordings``, ``AnswerKey``, ``conversation_key``, ``draw``, ``invented``, ``from_schema``,
``SimulatorConfigError``.

Three sources, first match wins: recorded answers of real models, an answer key (right answers, which a model of limited
accuracy sometimes misses), invented sentences. All of them are functions of the request, so that runs repeat.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluations.simulator.dialects.base import JSON, Conversation
from evaluations.simulator.dialects.openai_chat import read_messages


class SimulatorConfigError(ValueError):
    """A file that cannot be used; the message names the file and the line or field."""


def draw(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def conversation_key(model: str, conversation: Conversation) -> str:
    """The identity of a request: the same one has the same key in every dialect."""
    text = "\x1e".join((model, *(f"{role}\x1f{text}" for role, text in conversation)))
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded answer with its token counts; ``None`` = the recording does not say."""

    text: str
    input_tokens: int | None
    output_tokens: int | None


def _rows(path: Path) -> Iterator[tuple[int, JSON]]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _row(line, f"{path}, line {number}")
    except OSError as error:
        raise SimulatorConfigError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, EOFError) as error:
        raise SimulatorConfigError(f"{path}, after line {number}: {error}") from None


def _row(line: str, where: str) -> JSON:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SimulatorConfigError(f"{where}: {error}") from None
    if not isinstance(row, dict):
        raise SimulatorConfigError(f"{where}: expected a JSON object")
    return row


def _field(row: JSON, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise SimulatorConfigError(f"{where}: '{key}' is missing or of the wrong type")
    return value


@dataclass(frozen=True, slots=True)
class Recordings:
    """Recorded answers by model and conversation."""

    by_key: Mapping[str, Recorded] = field(default_factory=dict)
    models: frozenset[str] = frozenset()

    @classmethod
    def load(cls, paths: Iterable[Path]) -> Recordings:
        """Read JSON lines (``.gz`` too): ``model, messages, output`` [``prompt_tokens_est, output_tokens_est``].

        Raises ``SimulatorConfigError``.
        """
        by_key: dict[str, Recorded] = {}
        models: set[str] = set()
        for path in paths:
            for number, row in _rows(path):
                where = f"{path}, line {number}"
                model = _field(row, "model", str, where)
                messages = _field(row, "messages", list, where)
                if not all(isinstance(message, dict) for message in messages):
                    raise SimulatorConfigError(f"{where}: 'messages' must hold objects")
                counts = [
                    None if row.get(key) is None else _field(row, key, int, where)
                    for key in ("prompt_tokens_est", "output_tokens_est")
                ]
                text = _field(row, "output", str, where)
                by_key[conversation_key(model, read_messages(messages))] = Recorded(text, *counts)
                models.add(model)
        return cls(by_key, frozenset(models))


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Right answers by the last user text."""

    by_prompt: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[str, ...] = ()  # distinct, in order of appearance

    @classmethod
    def load(cls, path: Path) -> AnswerKey:
        """Read JSON lines ``{"prompt" or "messages": ..., "answer": text or JSON}``.

        Raises ``SimulatorConfigError``.
        """
        by_prompt: dict[str, str] = {}
        for number, row in _rows(path):
            where = f"{path}, line {number}"
            if "messages" in row:
                prompt = _last_user_text(read_messages(_field(row, "messages", list, where)))
            else:
                prompt = " ".join(_field(row, "prompt", str, where).split())
            answer = _field(row, "answer", (str, int, float, dict, list), where)
            by_prompt[prompt] = answer if isinstance(answer, str) else json.dumps(answer)
        return cls(by_prompt, tuple(dict.fromkeys(by_prompt.values())))

    def answer(self, conversation: Conversation, *, accuracy: float, luck: float) -> str | None:
        """The right answer when ``luck`` (0 to 1) is below ``accuracy``, else another answer of the key.

        ``None`` when the key does not know the prompt.
        """
        right = self.by_prompt.get(_last_user_text(conversation))
        if right is None or luck < accuracy:
            return right
        others = [answer for answer in self.answers if answer != right]
        return others[int(draw(right, luck) * len(others))] if others else "I am not certain."


def _last_user_text(conversation: Conversation) -> str:
    return next((text for role, text in reversed(conversation) if role == "user"), "")


_SENTENCES = (
    "Here is what I found.",
    "The request can be handled as described.",
    "Please check the amount on the last invoice.",
    "The order has left our warehouse.",
    "A colleague will confirm the date.",
    "The policy covers this case.",
    "The contract renews at the end of the month.",
    "No further action is needed.",
)


def invented(key: str) -> str:
    """A few plain sentences that depend on ``key`` alone."""
    count = 2 + int(draw(key, "length") * 4)
    return " ".join(_SENTENCES[int(draw(key, index) * len(_SENTENCES))] for index in range(count))


def from_schema(schema: Any, key: str) -> Any:
    """A small value of the shape that a JSON Schema asks for; enum members are picked by ``key``."""
    if not isinstance(schema, dict):
        return None
    options = schema.get("enum")
    if isinstance(options, list) and options:
        return options[int(draw(key, "enum") * len(options))]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {name: from_schema(inner, f"{key}/{name}") for name, inner in properties.items()}
    if kind == "array":
        return [from_schema(schema.get("items") or {}, f"{key}/0")]
    simple: dict[str, Any] = {
        "integer": 1 + int(draw(key) * 9),
        "number": round(draw(key) * 10, 1),
        "boolean": draw(key) < 0.5,
    }
    return simple.get(str(kind), None if kind == "null" else f"value {int(draw(key) * 100)}")
