from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.registry import READERS
from evaluations.capture.sampling import seeded_order
from evaluations.enums import AuditSource
from evaluations.models import (
    AuditEvent,
    RecordedContent,
    RecordedResponse,
    Sample,
    SampleContent,
    SampleSet,
    SampleSetMember,
    Workload,
)
from evaluations.services import audit
from evaluations.services.errors import Refused
from evaluations.services.sample_sets import freeze_set
from evaluations.services.samples import ImportReport, import_samples
from evaluations.services.teams import save_team, save_workload
from tests.shared_data import shared_data

pytestmark = pytest.mark.django_db

BY = audit.Actor(name="ana", source=AuditSource.COMMAND)
AT = datetime(2026, 6, 10, 12, tzinfo=UTC)
TABLES = (Sample, SampleContent, RecordedResponse, RecordedContent, SampleSet, SampleSetMember)


@pytest.fixture
def workload() -> Workload:
    team, _ = save_team(slug="support", by=BY, at=AT)
    return save_workload(slug="triage", team=team, by=BY, at=AT)[0]


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "occurred_at": "2026-05-01T10:00:00+02:00",
        "cluster": "c1",
        "segments": {"language": "en"},
        "request": {"messages": [{"role": "user", "content": f"question {number}"}], "temperature": 0},
        "reference": "yes",
        "response": {
            "text": "no",
            "model": "gpt-4-0613",
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
            "latency_ms": 812.5,
            "finish_reason": "stop",
        },
        **changes,
    }


def log(folder: Path, rows: list[dict[str, Any]], name: str = "log.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def take_in(workload: Workload, path: Path, **options: Any) -> ImportReport:
    return import_samples(workload=workload, path=path, by=BY, at=AT, **options)


def counts() -> list[int]:
    return [table.objects.count() for table in TABLES]


def members(sample_set: SampleSet | None) -> list[str]:
    assert sample_set is not None
    return list(sample_set.members.order_by("position").values_list("sample__external_id", flat=True))


def test_everything_of_a_sample_is_stored(workload: Workload, tmp_path: Path) -> None:
    report = take_in(workload, log(tmp_path, [line(1)]))
    sample = Sample.objects.get()
    assert (sample.workload, sample.external_id, sample.cluster, sample.segments, sample.replayable) == (
        workload,
        "r1",
        "c1",
        {"language": "en"},
        True,
    )
    assert (sample.occurred_at, sample.captured_at) == (datetime(2026, 5, 1, 8, tzinfo=UTC), AT)
    assert (sample.content.request, sample.content.reference) == (line(1)["request"], "yes")
    recorded = sample.recorded
    assert (recorded.model_name, recorded.usage, recorded.latency_ms, recorded.finish_reason) == (
        "gpt-4-0613",
        {"prompt_tokens": 7, "completion_tokens": 2},
        812.5,
        "stop",
    )
    assert (recorded.content.text, recorded.content.message) == ("no", None)
    assert report.sample_set is not None
    assert (report.read, report.stored, report.duplicates, report.rejected, report.redacted) == (1, 1, 0, 0, {})
    assert (report.sample_set.name, report.sample_set.size, report.digest) == (
        "log.jsonl",
        1,
        report.sample_set.digest,
    )
    assert report.sample_set.method == {
        "kind": "import",
        "file": "log.jsonl",
        "format": "native",
        "format_version": "1",
        "redacted": True,
        "take": None,
        "seed": 0,
        "stratify": None,
    }


def test_a_sample_needs_neither_reference_nor_answer(workload: Workload, tmp_path: Path) -> None:
    take_in(workload, log(tmp_path, [line(1, reference=None, response=None, cluster=None, occurred_at=None)]))
    sample = Sample.objects.get()
    assert (sample.content.reference, sample.cluster, sample.occurred_at) == (None, "", None)
    assert not RecordedResponse.objects.exists()


def test_the_set_is_in_seeded_order_and_audited_once(workload: Workload, tmp_path: Path) -> None:
    path = log(tmp_path, [line(number) for number in range(50)])
    report = take_in(workload, path, seed=7, name="May")
    ids = [f"r{number}" for number in range(50)]
    assert members(report.sample_set) == seeded_order(ids, 7) != ids
    event = AuditEvent.objects.get(action="sample_set.frozen")
    assert (event.object_label, event.team, event.data["size"], event.data["digest"]) == (
        "May",
        "support",
        50,
        report.digest,
    )
    before = counts()
    again = take_in(workload, path, seed=8)
    assert (again.sample_set, again.stored, again.duplicates) == (report.sample_set, 50, 0)
    assert counts() == before
    assert AuditEvent.objects.filter(action="sample_set.frozen").count() == 1


def test_a_repeat_in_the_file_is_counted_and_in_the_set_once(workload: Workload, tmp_path: Path) -> None:
    report = take_in(workload, log(tmp_path, [line(1), line(2), line(1)]))
    assert (report.read, report.stored, report.duplicates) == (3, 2, 1)
    assert sorted(members(report.sample_set)) == ["r1", "r2"]


def test_samples_without_an_id_are_known_by_their_content(workload: Workload, tmp_path: Path) -> None:
    report = take_in(workload, log(tmp_path, [line(1, id=None), line(2, id=None), line(1, id=None)]))
    assert (report.stored, report.duplicates) == (2, 1)
    for sample in Sample.objects.all():
        assert sample.external_id == f"sha256:{sample.digest[:40]}"


def test_two_ids_with_equal_content_are_two_samples(workload: Workload, tmp_path: Path) -> None:
    report = take_in(workload, log(tmp_path, [line(1), line(1, id="other")]))
    assert (report.stored, report.duplicates) == (2, 0)
    assert report.sample_set is not None
    parts = [
        freeze_set(workload=workload, sample_ids=[pk], name="part", method={}, parent=report.sample_set, by=BY, at=AT)
        for pk in Sample.objects.order_by("pk").values_list("pk", flat=True)
    ]
    assert parts[0] != parts[1]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"request": {"messages": [{"role": "pilot", "content": "x"}]}}, "line 2, request.messages[0].role: must be"),
        ({"refrence": "x"}, "line 2, refrence: is not a field of this format"),
        ({"id": "r1"}, "line 2, id: 'r1' already holds other content"),
        ({"id": "x" * 201}, "line 2, id: is longer than 200 characters"),
        ({"cluster": "x" * 201}, "line 2, cluster: is longer than 200 characters"),
    ],
)
def test_one_bad_line_refuses_the_file_and_nothing_is_stored(
    workload: Workload, tmp_path: Path, data_dir: Path, bad: dict[str, Any], message: str
) -> None:
    path = log(tmp_path, [line(1), line(2, **bad), line(3)])
    with pytest.raises(Refused) as refusal:
        take_in(workload, path)
    assert refusal.value.message[: len(message) + 11] == f"log.jsonl: {message}"
    assert counts() == [0] * len(TABLES)
    assert not (data_dir / "rejects").exists()


def test_bad_lines_can_be_skipped_counted_and_listed(workload: Workload, tmp_path: Path, data_dir: Path) -> None:
    path = log(tmp_path, [line(1), line(2, request=None), line(3), line(1, reference="no")])
    with path.open("a") as file:
        file.write("{not json\n")
    report = take_in(workload, path, skip_bad=True)
    assert (report.read, report.stored, report.rejected) == (5, 2, 3)
    assert report.rejects_file == data_dir / "rejects" / "20260610T120000Z-log.jsonl.jsonl"
    rejected = [json.loads(text) for text in report.rejects_file.read_text().splitlines()]
    assert [(entry["line"], entry["field"]) for entry in rejected] == [(2, "request"), (4, "id"), (5, "")]
    assert rejected[1]["reason"] == "'r1' already holds other content"
    assert Sample.objects.get(external_id="r1").content.reference == "yes"


def test_an_id_of_the_pool_keeps_its_content(workload: Workload, tmp_path: Path, data_dir: Path) -> None:
    take_in(workload, log(tmp_path, [line(1)]))
    other = log(tmp_path, [line(2), line(1, reference="no")], "other.jsonl")
    with pytest.raises(Refused, match=r"other\.jsonl: line 2, id: 'r1' already holds other content in the pool"):
        take_in(workload, other)
    assert Sample.objects.count() == 1
    report = take_in(workload, other, skip_bad=True)
    assert (report.read, report.stored, report.rejected, members(report.sample_set)) == (2, 1, 1, ["r2"])


def test_an_answer_that_comes_later_is_joined_to_its_sample(workload: Workload, tmp_path: Path) -> None:
    first = take_in(workload, log(tmp_path, [line(1, response=None), line(2, response=None), line(3)]))
    digest = Sample.objects.get(external_id="r1").digest
    answered = log(tmp_path, [line(1), line(2, response=None), line(3)], "answered.jsonl")
    assert take_in(workload, answered).sample_set == first.sample_set
    assert RecordedContent.objects.get(response__sample__external_id="r1").text == "no"
    assert RecordedResponse.objects.count() == 2
    # The sample is the one that it was, and the same file again changes nothing.
    assert Sample.objects.get(external_id="r1").digest == digest
    before = counts()
    assert take_in(workload, answered).sample_set == first.sample_set
    assert counts() == before
    other_answer = log(tmp_path, [line(1, response={**line(1)["response"], "text": "yes"})], "other.jsonl")
    with pytest.raises(Refused, match="'r1' already holds other content in the pool"):
        take_in(workload, other_answer)
    other_request = log(tmp_path, [line(2, reference="no")], "request.jsonl")
    with pytest.raises(Refused, match="'r2' already holds other content in the pool"):
        take_in(workload, other_request)


def test_pools_of_two_workloads_do_not_meet(workload: Workload, tmp_path: Path) -> None:
    other, _ = save_workload(slug="routing", team=workload.team, by=BY, at=AT)
    first = take_in(workload, log(tmp_path, [line(1)]))
    second = take_in(other, log(tmp_path, [line(1, reference="no")]))
    assert first.sample_set != second.sample_set
    assert Sample.objects.count() == 2


def test_take_draws_a_set_and_all_samples_go_to_the_pool(workload: Workload, tmp_path: Path) -> None:
    path = log(tmp_path, [line(number) for number in range(20)])
    report = take_in(workload, path, take=5, seed=3)
    assert members(report.sample_set) == seeded_order([f"r{number}" for number in range(20)], 3)[:5]
    assert (report.read, report.stored, Sample.objects.count()) == (20, 5, 20)
    assert take_in(workload, path, take=50).stored == 20


def test_stratified_take_keeps_the_proportions(workload: Workload, tmp_path: Path) -> None:
    rows = [line(number, segments={"language": "en" if number < 15 else "de"}) for number in range(20)]
    report = take_in(workload, log(tmp_path, rows), take=8, stratify="language")
    languages = [Sample.objects.get(external_id=name).segments["language"] for name in members(report.sample_set)]
    assert sorted(languages) == ["de"] * 2 + ["en"] * 6


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"take": 0}, "take", "must be at least 1"),
        ({"stratify": "language"}, "stratify", "needs take: without it every sample is a member"),
        ({"take": 1, "stratify": "tier"}, "stratify", "no sample has the segment 'tier'"),
        (
            {"format": "xml"},
            "format",
            f"unknown format xml (known: auto, {', '.join(READERS.keys())})",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(
    workload: Workload, tmp_path: Path, options: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(Refused) as refusal:
        take_in(workload, log(tmp_path, [line(1)]), **options)
    assert (refusal.value.field, refusal.value.message) == (field, message)
    assert counts() == [0] * len(TABLES)


def test_a_file_that_is_not_there_or_not_a_log_is_refused(workload: Workload, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^none\.jsonl: cannot be opened \(No such file or directory\)$"):
        take_in(workload, tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(Refused, match=r"^empty\.jsonl: the file is empty$"):
        take_in(workload, tmp_path / "empty.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(line(1)).encode() * 999)[:-40])
    with pytest.raises(Refused, match=r"^cut\.jsonl\.gz: "):
        take_in(workload, tmp_path / "cut.jsonl.gz")
    assert counts() == [0] * len(TABLES)


def test_personal_data_is_redacted_unless_told_otherwise(workload: Workload, tmp_path: Path) -> None:
    text = "write to ana@example.com or ben@example.com"
    rows = [line(1, request={"messages": [{"role": "user", "content": text}]})]
    report = take_in(workload, log(tmp_path, rows))
    assert report.redacted == {"email": 2}
    assert SampleContent.objects.get().request["messages"][0]["content"] == "write to [EMAIL] or [EMAIL]"
    other, _ = save_workload(slug="routing", team=workload.team, by=BY, at=AT)
    assert take_in(other, log(tmp_path, rows), redact=False).redacted == {}
    assert SampleContent.objects.get(sample__workload=other).request["messages"][0]["content"] == text


def test_an_id_that_is_personal_data_has_the_same_pseudonym_at_every_import(workload: Workload, tmp_path: Path) -> None:
    path = log(tmp_path, [line(1, id="ana@example.com")])
    first, second = take_in(workload, path), take_in(workload, path)
    assert first.sample_set == second.sample_set
    assert "ana" not in Sample.objects.get().external_id


def stored_completion(number: int, *, prompt: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": f"chatcmpl-{number}",
        "created": 1_770_000_000,
        "model": "gpt-4",
        "choices": [{"message": {"role": "assistant", "content": f"answer {number}"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    return {**row, "input_messages": [{"role": "user", "content": "question"}]} if prompt else row


def test_lines_without_a_prompt_are_read_and_joined_to_the_pool_where_they_can_be(
    workload: Workload, tmp_path: Path
) -> None:
    batch = [
        {"custom_id": f"b{number}", "method": "POST", "url": "/v1", "body": line(number)["request"]}
        for number in range(3)
    ]
    take_in(workload, log(tmp_path, batch, "batch.jsonl"))
    answers = [
        {"custom_id": f"b{number}", "response": {"body": stored_completion(number, prompt=False)}, "error": None}
        for number in (2, 0, 9)
    ]
    report = take_in(workload, log(tmp_path, answers, "answers.jsonl"))
    assert (report.sample_set, report.digest, report.read, report.stored, report.duplicates) == (None, None, 3, 0, 0)
    texts = RecordedContent.objects.values_list("response__sample__external_id", "text")
    assert dict(texts) == {"b0": "answer 0", "b2": "answer 2"}
    changed = [
        {"custom_id": "b0", "response": {"body": stored_completion(7, prompt=False)}, "error": None},
        {"custom_id": "b1", "response": {"body": stored_completion(1, prompt=False)}, "error": None},
    ]
    take_in(workload, log(tmp_path, changed, "changed.jsonl"))
    texts = RecordedContent.objects.values_list("response__sample__external_id", "text")
    assert dict(texts) == {"b0": "answer 0", "b1": "answer 1", "b2": "answer 2"}


def test_a_mixed_file_replays_only_what_has_a_prompt(workload: Workload, tmp_path: Path) -> None:
    rows = [stored_completion(1, prompt=True), stored_completion(2, prompt=False)]
    report = take_in(workload, log(tmp_path, rows))
    assert (report.read, report.stored, members(report.sample_set)) == (2, 1, ["chatcmpl-1"])


def test_requests_join_answers_to_their_prompts(workload: Workload) -> None:
    """117 answered lines of 120, as the data's own reference says."""
    reference = json.loads(shared_data("log_formats", "reference_samples.json").read_text())["openai_batch"]
    report = take_in(
        workload,
        shared_data("log_formats", "openai_batch_output.jsonl.gz"),
        requests=shared_data("log_formats", "openai_batch_input.jsonl.gz"),
    )
    assert (report.read, report.stored) == (reference["lines"], reference["lines"])
    assert RecordedResponse.objects.count() == reference["records"]
    tokens = sum(usage["prompt_tokens"] for usage in RecordedResponse.objects.values_list("usage", flat=True))
    assert tokens == reference["prompt_tokens"]


def test_characters_that_no_database_takes_are_kept_in_escaped_form(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless:
        key, version, label = "careless", "1", "a plugin that checks nothing"

        def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
            message = {"role": "user", "content": "a\x00b \ud800"}
            yield CapturedSample(
                1, "x\x00y", {"messages": [message]}, response=CapturedResponse("\x00", model="\ud800")
            )

    monkeypatch.setattr("evaluations.services.sample_file.detect", lambda path: Careless())
    take_in(workload, log(tmp_path, [line(1)]))
    sample = Sample.objects.get()
    assert sample.external_id == "x\\u0000y"
    assert sample.content.request["messages"][0]["content"] == "a\\u0000b \\ud800"
    assert (sample.recorded.content.text, sample.recorded.model_name) == ("\\u0000", "\\ud800")


def test_a_set_is_frozen_in_the_order_given_and_once(workload: Workload, tmp_path: Path) -> None:
    report = take_in(workload, log(tmp_path, [line(number) for number in range(4)]))
    ids = [Sample.objects.get(external_id=name).pk for name in ("r3", "r0", "r2")]
    common: dict[str, Any] = {"workload": workload, "name": "part", "method": {"kind": "take"}, "by": BY, "at": AT}
    part = freeze_set(sample_ids=ids, parent=report.sample_set, **common)
    assert (members(part), part.size, part.parent, part.method) == (
        ["r3", "r0", "r2"],
        3,
        report.sample_set,
        {"kind": "take"},
    )
    assert [member.position for member in part.members.all()] == [0, 1, 2]
    assert freeze_set(sample_ids=ids[::-1], parent=None, **common) == part
    assert SampleSet.objects.count() == 2


def test_a_set_holds_distinct_replayable_samples_of_its_workload(workload: Workload, tmp_path: Path) -> None:
    take_in(workload, log(tmp_path, [line(1), line(2)]))
    other, _ = save_workload(slug="routing", team=workload.team, by=BY, at=AT)
    take_in(other, log(tmp_path, [line(3)]))
    Sample.objects.filter(external_id="r2").update(replayable=False)
    keys = dict(Sample.objects.values_list("external_id", "pk"))
    common: dict[str, Any] = {"workload": workload, "name": "x", "method": {}, "parent": None, "by": BY, "at": AT}
    for ids in ([], [keys["r1"], keys["r1"]], [keys["r3"]], [keys["r2"]], [-1]):
        with pytest.raises(Refused) as refusal:
            freeze_set(sample_ids=ids, **common)
        assert refusal.value.field == "sample_ids"
    assert SampleSet.objects.count() == 2


def test_without_its_audit_row_no_set_is_left(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("audit is down")

    monkeypatch.setattr(audit, "record", fail)
    with pytest.raises(RuntimeError, match="audit is down"):
        take_in(workload, log(tmp_path, [line(1)]))
    assert (SampleSet.objects.count(), SampleSetMember.objects.count()) == (0, 0)
