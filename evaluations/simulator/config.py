"""The simulator's configuration and its files.

Public surface: ``SimulatorConfig``, ``load_config``, ``behaviour_from``, ``SimulatorConfigError``.

A behaviours file is YAML or JSON: ``{models: {NAME: {behaviour: steady, latency_ms: 40}}, default: {...}, seed: 1}``.
``behaviour`` names a preset (``behaviours.PRESETS``); the other keys are the fields of ``behaviours.ModelBehaviour``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from evaluations.simulator.answers import AnswerKey, Recordings, SimulatorConfigError
from evaluations.simulator.behaviours import FAULTS, PRESETS, ModelBehaviour
from evaluations.simulator.judges import JUDGES

__all__ = ["SimulatorConfig", "SimulatorConfigError", "behaviour_from", "load_config"]


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """What the vendors serve. A model without behaviour, default or recordings does not exist (404)."""

    models: Mapping[str, ModelBehaviour] = field(default_factory=dict)
    default: ModelBehaviour | None = None
    recordings: Recordings = field(default_factory=Recordings)
    answers: AnswerKey = field(default_factory=AnswerKey)
    seed: int = 1
    require_key: bool = False  # True: a call without a credential is refused, as real vendors do

    def behaviour(self, model: str) -> ModelBehaviour | None:
        """How ``model`` behaves; ``None`` when only its recorded answers exist, if any."""
        return self.models.get(model, self.default)

    def names(self) -> list[str]:
        """The models known by name."""
        return sorted({*self.models, *self.recordings.models})


def load_config(
    *, behaviours: Path | None = None, recordings: Sequence[Path] = (), answers: Path | None = None
) -> SimulatorConfig:
    """Read the files. Without behaviours and recordings every model exists and is steady.

    Raises ``SimulatorConfigError`` naming the file and the line or field.
    """
    models, default, seed, require_key = _behaviours(behaviours) if behaviours else ({}, None, 1, False)
    if behaviours is None and not recordings:
        default = behaviour_from({}, "default")
    return SimulatorConfig(
        models=models,
        default=default,
        recordings=Recordings.load(recordings),
        answers=AnswerKey.load(answers) if answers else AnswerKey(),
        seed=seed,
        require_key=require_key,
    )


def _behaviours(path: Path) -> tuple[dict[str, ModelBehaviour], ModelBehaviour | None, int, bool]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SimulatorConfigError(f"{path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise SimulatorConfigError(f"{path}{line}: {problem}") from None
    try:
        top = _mapping(document, "the file", {"models", "default", "seed", "require_key"})
        models = _mapping(top.get("models") or {}, "models")
        seed = top.get("seed", 1)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise SimulatorConfigError("seed must be a whole number")
        require_key = top.get("require_key", False)
        if not isinstance(require_key, bool):
            raise SimulatorConfigError("require_key must be true or false")
        default = behaviour_from(top["default"], "default") if "default" in top else None
        named = {name: behaviour_from(keys, f"models.{name}") for name, keys in models.items()}
        return named, default, seed, require_key
    except SimulatorConfigError as error:
        raise SimulatorConfigError(f"{path}: {error}") from None


def behaviour_from(keys: Any, where: str) -> ModelBehaviour:
    """One model's behaviour: its preset, changed by the other keys.

    Raises ``SimulatorConfigError`` naming the field.
    """
    known = {item.name for item in fields(ModelBehaviour)}
    given = dict(_mapping({} if keys is None else keys, where, known | {"behaviour"}))
    name = given.pop("behaviour", "steady")
    if name not in PRESETS:
        raise SimulatorConfigError(f"{where}.behaviour must be one of: {', '.join(PRESETS)}")
    merged = {**PRESETS[name], **given}
    return ModelBehaviour(**{key: _CHECKS[key](value, f"{where}.{key}") for key, value in merged.items()})


def _mapping(value: Any, where: str, known: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SimulatorConfigError(f"{where} must be a mapping with text keys")
    for key in value:
        if known is not None and key not in known:
            raise SimulatorConfigError(f"{where}: unknown key '{key}' (known: {', '.join(sorted(known))})")
    return value


def _number(value: Any, where: str, most: float = 1e9) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise SimulatorConfigError(f"{where} must be a number from 0 to {most:g}")
    return value


def _share(value: Any, where: str) -> float:
    return _number(value, where, most=1)


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise SimulatorConfigError(f"{where} must be true or false")
    return value


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SimulatorConfigError(f"{where} must be a whole number of 0 or more")
    return value


def _rate(value: Any, where: str) -> float | None:
    if value is not None and _number(value, where) == 0:
        raise SimulatorConfigError(f"{where} must be above 0, or absent for no limit")
    return value  # type: ignore[no-any-return]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SimulatorConfigError(f"{where} must be a text (put numbers in quotes)")
    return value


def _day(value: Any, where: str) -> date:
    try:
        return value if type(value) is date else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise SimulatorConfigError(f"{where} must be a date like 2026-01-31") from None


def _faults(value: Any, where: str) -> Mapping[str, float]:
    rates = {name: _share(rate, f"{where}.{name}") for name, rate in _mapping(value, where, set(FAULTS)).items()}
    if sum(rates.values()) > 1 + 1e-9:
        raise SimulatorConfigError(f"{where} must not add up to more than 1")
    return rates


def _script(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(name == "ok" or name in FAULTS for name in value):
        raise SimulatorConfigError(f"{where} must be a list of 'ok' and: {', '.join(sorted(FAULTS))}")
    return tuple(value)


def _judge(value: Any, where: str) -> str:
    if value not in JUDGES:
        raise SimulatorConfigError(f"{where} must be one of: {', '.join(JUDGES)}")
    return str(value)


_CHECKS: Mapping[str, Any] = {
    "latency_ms": _number,
    "latency_sigma": _number,
    "accuracy": _share,
    "drift_per_1000_calls": _share,
    "drift_per_day": _share,
    "drift_from": _day,
    "faults": _faults,
    "script": _script,
    "requests_per_minute": _rate,
    "burst": _count,
    "states_limit": _flag,
    "retry_after": _text,
    "reasoning_tokens": _count,
    "cached_input_share": _share,
    "served_model": _text,
    "shutdown_on": _day,
    "judge": _judge,
}
