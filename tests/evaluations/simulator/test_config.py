"""What the simulator's files may say, and how it refuses the rest."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest

from evaluations.simulator.behaviours import PRESETS, ModelBehaviour, decide
from evaluations.simulator.config import SimulatorConfigError, behaviour_from, load_config


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_behaviours_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "b.yaml",
        """
models:
  mai-thinking-1: {behaviour: flaky, latency_ms: 25, faults: {overloaded: 0.5}, drift_from: 2026-01-31}
  gpt-4: {requests_per_minute: 60, burst: 4, script: [ok, reset], shutdown_on: "2026-10-23"}
default: {}
seed: 7
""",
    )
    config = load_config(behaviours=path)
    assert config.seed == 7
    assert config.names() == ["gpt-4", "mai-thinking-1"]
    assert config.models["mai-thinking-1"] == ModelBehaviour(
        latency_ms=25, latency_sigma=0.3, accuracy=0.95, faults={"overloaded": 0.5}, drift_from=date(2026, 1, 31)
    )
    assert config.models["gpt-4"] == ModelBehaviour(
        latency_ms=40,
        latency_sigma=0.3,
        accuracy=0.95,
        requests_per_minute=60,
        burst=4,
        script=("ok", "reset"),
        shutdown_on=date(2026, 10, 23),
    )
    assert config.behaviour("any other") == ModelBehaviour(latency_ms=40, latency_sigma=0.3, accuracy=0.95)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_behaviour(preset: str) -> None:
    assert behaviour_from({"behaviour": preset}, "x") == ModelBehaviour(**PRESETS[preset])


def test_without_files_every_model_is_steady(tmp_path: Path) -> None:
    assert load_config().default == behaviour_from({"behaviour": "steady"}, "x")
    assert load_config(recordings=[write(tmp_path / "r.jsonl", "")]).default is None


BAD = [
    ("[]", "the file must be a mapping"),
    ("{modles: {}}", "the file: unknown key 'modles' (known: default, models, require_key, seed)"),
    ("{seed: x}", "seed must be a whole number"),
    ("{models: [a]}", "models must be a mapping"),
    ("{models: {m: {latency: 4}}}", "models.m: unknown key 'latency'"),
    ("{models: {m: {behaviour: lazy}}}", "models.m.behaviour must be one of: steady, slow"),
    ("{models: {m: {accuracy: 1.5}}}", "models.m.accuracy must be a number from 0 to 1"),
    ("{models: {m: {latency_ms: -1}}}", "models.m.latency_ms must be a number from 0"),
    ("{models: {m: {latency_ms: .nan}}}", "models.m.latency_ms must be a number from 0"),
    ("{models: {m: {latency_ms: true}}}", "models.m.latency_ms must be a number from 0"),
    ("{models: {m: {faults: {boom: 0.1}}}}", "models.m.faults: unknown key 'boom'"),
    ("{models: {m: {faults: {reset: 0.6, hang: 0.6}}}}", "models.m.faults must not add up to more than 1"),
    ("{models: {m: {script: [boom]}}}", "models.m.script must be a list of 'ok' and: auth"),
    ("{models: {m: {requests_per_minute: 0}}}", "models.m.requests_per_minute must be above 0"),
    ("{models: {m: {retry_after: 3}}}", "models.m.retry_after must be a text (put numbers in quotes)"),
    ("{models: {m: {burst: 1.5}}}", "models.m.burst must be a whole number"),
    ("{models: {m: {drift_from: soon}}}", "models.m.drift_from must be a date like 2026-01-31"),
    ("{default: 3}", "default must be a mapping"),
    ("models:\n  m: {a: [}", "line 2"),
    ("\x00", "b.yaml"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_behaviours_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "b.yaml", text)
    with pytest.raises(SimulatorConfigError) as refused:
        load_config(behaviours=path)
    assert str(refused.value).startswith(str(path))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


GOOD_ROW = '{"model": "m", "messages": [], "output": "x"}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD_ROW + "{", "line 2: "),
        (GOOD_ROW + "\n[]", "line 3: expected a JSON object"),
        ('{"model": "m", "messages": []}', "line 1: 'output' is missing or of the wrong type"),
        ('{"model": 1, "messages": [], "output": ""}', "line 1: 'model' is missing"),
        ('{"model": "m", "messages": [1], "output": ""}', "line 1: 'messages' must hold objects"),
        ('{"model": "m", "messages": [], "output": "", "output_tokens_est": "9"}', "line 1: 'output_tokens_est'"),
    ],
)
def test_a_bad_recording_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "r.jsonl", text)
    with pytest.raises(SimulatorConfigError) as refused:
        load_config(recordings=[path])
    assert str(refused.value).startswith(f"{path}, {message}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for argument in ({"behaviours": tmp_path / "no"}, {"recordings": [tmp_path / "no"]}, {"answers": tmp_path / "no"}):
        with pytest.raises(SimulatorConfigError, match="No such file"):
            load_config(**argument)  # type: ignore[arg-type]
    with pytest.raises(SimulatorConfigError, match="Not a gzipped file"):
        load_config(recordings=[write(tmp_path / "r.jsonl.gz", "text")])


def test_an_answer_key(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        '{"prompt": "My  bill?", "answer": {"category": "billing"}}\n'
        '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Late"}], '
        '"answer": "delivery"}\n',
    )
    key = load_config(answers=path).answers
    assert dict(key.by_prompt) == {"My bill?": '{"category": "billing"}', "Late": "delivery"}
    conversation = (("system", "any"), ("user", "Late"))
    assert key.answer(conversation, accuracy=0.9, luck=0.8999) == "delivery"
    assert key.answer(conversation, accuracy=0.9, luck=0.9) == '{"category": "billing"}'
    assert key.answer((("user", "Else"),), accuracy=1, luck=0) is None


def test_latency_is_lognormal_around_its_median() -> None:
    behaviour = ModelBehaviour(latency_ms=100, latency_sigma=0.5)

    def latency_ms(number: int) -> float:
        return decide(
            behaviour, seed=1, key=str(number), attempt=0, arrived=0, billed=0, today=date(2026, 1, 1)
        ).latency_ms

    drawn = sorted(latency_ms(number) for number in range(2000))
    assert drawn[1000] == pytest.approx(100, rel=0.05)
    assert drawn[1900] == pytest.approx(228, rel=0.08)  # exp(0.5 * 1.645) = 2.28, the normal table's 95 % point


def test_drift_by_days() -> None:
    behaviour = ModelBehaviour(accuracy=0.9, drift_per_day=0.01, drift_from=date(2026, 1, 1))

    def accuracy(day: date) -> float:
        return decide(behaviour, seed=1, key="k", attempt=0, arrived=0, billed=0, today=day).accuracy

    assert [accuracy(day) for day in (date(2025, 12, 1), date(2026, 1, 1), date(2026, 1, 31))] == [
        0.9,
        0.9,
        pytest.approx(0.6),
    ]
    assert accuracy(date(2027, 1, 1)) == 0


def test_every_field_can_be_configured() -> None:
    for field in fields(ModelBehaviour):
        with pytest.raises(SimulatorConfigError, match=f"x.{field.name}"):
            behaviour_from({field.name: object()}, "x")
