"""Prometheus' text format, version 0.0.4. No Django here. Public surface: ``Family``, ``render``, ``CONTENT_TYPE``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Number = int | float | Decimal


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its samples, labels and value each; what is not known has none."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str  # one line
    samples: Sequence[tuple[Mapping[str, str], Number]]


def render(families: Iterable[Family]) -> str:
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        name: value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"


def _number(value: Number) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
