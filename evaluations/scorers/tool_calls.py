"""The reply calls the tools that the reference calls. Public surface: ``ToolCall``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from evaluations.scorers.base import Answer, Score, Unscored
from evaluations.scorers.config import choice, known_keys
from evaluations.scorers.jsontext import MISSING, loads, same, too_deep
from evaluations.scorers.numbers import close, tolerance_of
from evaluations.scorers.text import shown, verdict

_ORDER = ("same", "any")
_ARGUMENTS = ("equal", "contain", "ignore")
MOST_CALLS = 64


class ToolCall:
    """``{order: same | any, arguments: equal | contain | ignore, tolerance: 0}``: same tools, same arguments.

    The reference is a call, a list of calls, or an assistant message with ``tool_calls``, in JSON or as JSON text; a
    call is ``{name, arguments}`` or of OpenAI's form. ``[]`` means that no tool should be called. With ``contain`` the
    reply may give further arguments (inside nested objects too). Numbers may differ by ``tolerance`` (absolute).
    """

    key = "tool_call"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "order", "arguments", "tolerance")
        choice(config, "order", _ORDER)
        choice(config, "arguments", _ARGUMENTS)
        tolerance_of(config)

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        if answer.reference is None:
            return Unscored("no_reference")
        wanted = _expected(answer.reference)
        if wanted is None:
            return Unscored("reference_not_tool_calls")
        given = _calls((answer.message or {}).get("tool_calls") or [])
        if given is None:
            return verdict(False, "a tool call that can not be read")
        if len(given) != len(wanted):
            return verdict(False, f"{_count(given)} instead of {len(wanted)}")
        if len(wanted) > MOST_CALLS:
            return Unscored("too_many_tool_calls")
        rule = _Rule(choice(config, "arguments", _ARGUMENTS), tolerance_of(config))
        if choice(config, "order", _ORDER) == "any":
            return verdict(_pair_up(given, wanted, rule), _count(given))
        for got, call in zip(given, wanted, strict=True):
            if not rule.match(got, call):
                what = "arguments of " if got.name == call.name else ""
                instead = "" if what else f" instead of {shown(call.name)}"
                return verdict(False, f"{what}{shown(got.name)}{instead}{' differ' if what else ''}")
        return verdict(True, _count(given))


class _Call(NamedTuple):
    name: str
    arguments: Any  # a JSON value; MISSING: text that is no JSON


def _count(calls: Sequence[_Call]) -> str:
    return "1 tool call" if len(calls) == 1 else f"{len(calls)} tool calls"


def _expected(reference: Any) -> list[_Call] | None:
    """The calls that a reference names; None where it names none."""
    value = loads(reference) if isinstance(reference, str) else reference
    if isinstance(value, Mapping):
        value = value.get("tool_calls", [value])
    calls = _calls(value)
    return None if calls is None or any(call.arguments is MISSING for call in calls) else calls


def _calls(value: Any) -> list[_Call] | None:
    """Calls of a list in either form; None where one of them has no name."""
    if not isinstance(value, list):
        return None
    calls = []
    for entry in value:
        call = entry.get("function", entry) if isinstance(entry, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(call.get("name"), str) or not call["name"]:
            return None
        arguments = call.get("arguments")
        if isinstance(arguments, str):
            arguments = loads(arguments) if arguments.strip() else {}
        elif arguments is None:
            arguments = {}
        calls.append(_Call(call["name"], MISSING if too_deep(arguments) else arguments))
    return calls


class _Rule(NamedTuple):
    arguments: str
    tolerance: Decimal

    def match(self, given: _Call, wanted: _Call) -> bool:
        if given.name != wanted.name or given.arguments is MISSING:
            return False
        return self.arguments == "ignore" or self._alike(given.arguments, wanted.arguments)

    def _alike(self, given: Any, wanted: Any) -> bool:
        pairs = [(given, wanted)]
        while pairs:
            a, b = pairs.pop()
            if isinstance(a, dict) and isinstance(b, dict):
                if not (b.keys() <= a.keys() if self.arguments == "contain" else a.keys() == b.keys()):
                    return False
                pairs.extend((a[key], b[key]) for key in b)
            elif isinstance(a, list) and isinstance(b, list):
                if len(a) != len(b):
                    return False
                pairs.extend(zip(a, b, strict=True))
            elif not (self._near(a, b) if _is_number(a) and _is_number(b) else same(a, b)):
                return False
        return True

    def _near(self, given: float, wanted: float) -> bool:
        left, right = _exact(given), _exact(wanted)
        return close(left, right, self.tolerance) if left.is_finite() and right.is_finite() else left == right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exact(value: float) -> Decimal:
    """As it is written: 0.1 is a tenth."""
    return Decimal(value if isinstance(value, int) else repr(value))


def _pair_up(given: Sequence[_Call], wanted: Sequence[_Call], rule: _Rule) -> bool:
    """Whether every wanted call can have a given one of its own (augmenting paths, as two may fit the same)."""
    taken: dict[int, int] = {}  # wanted, by given

    def place(want: int, tried: set[int]) -> bool:
        for got in fits[want] - tried:
            tried.add(got)
            if got not in taken or place(taken[got], tried):
                taken[got] = want
                return True
        return False

    fits = [{got for got, call in enumerate(given) if rule.match(call, want)} for want in wanted]
    return all(place(want, set()) for want in range(len(wanted)))
