"""A file on its way through the temporary tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest
from django.db import IntegrityError, connection
from hypothesis import given
from hypothesis import strategies as st

from evaluations.capture.base import CapturedResponse, CapturedSample
from evaluations.capture.digest import sample_digests
from evaluations.models import RecordedContent, Sample, Workload
from evaluations.services import samples, staged_pool, staging
from evaluations.services.errors import Conflict
from evaluations.services.staged_pool import Staged
from evaluations.services.teams import save_team, save_workload
from tests.evaluations.services.test_samples import AT, BY, line, log, members, take_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def workload() -> Workload:
    team, _ = save_team(slug="support", by=BY, at=AT)
    return save_workload(slug="triage", team=team, by=BY, at=AT)[0]


def test_an_import_that_meets_another_looks_again_and_gives_up_at_last(
    workload: Workload, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, faster = Staged.store, [2]

    def meet(self: Staged, *, at: datetime) -> Iterator[int]:
        if faster[0]:
            faster[0] -= 1
            raise IntegrityError("somebody was faster")
        return store(self, at=at)

    monkeypatch.setattr(Staged, "store", meet)
    path = log(tmp_path, [line(1), line(2, request=None)])
    report = take_in(workload, path, skip_bad=True)
    assert (report.stored, report.rejected, Sample.objects.count()) == (1, 1, 1)
    assert list((data_dir / "rejects").iterdir()) == [report.rejects_file]
    faster[0] = 3
    with pytest.raises(Conflict, match="other imports into this workload were faster each time"):
        take_in(workload, path, skip_bad=True)


def test_progress_is_said_every_ten_thousand_lines(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_PROGRESS", 2)
    monkeypatch.setattr(staged_pool, "_SLICE", 3)
    monkeypatch.setattr(staging, "_AT_ONCE", 2)
    said: list[str] = []
    report = take_in(workload, log(tmp_path, [line(number) for number in range(5)]), progress=said.append)
    in_slices = ["3 lines stored", "5 lines stored"] if connection.vendor == "sqlite" else ["5 lines stored"]
    assert said == ["2 lines read", "4 lines read", *in_slices]
    assert (report.stored, Sample.objects.count()) == (5, 5)


def test_of_lines_that_share_an_id_the_first_that_fits_the_pool_is_the_sample(
    workload: Workload, tmp_path: Path, data_dir: Path
) -> None:
    take_in(workload, log(tmp_path, [line(1, response=None)], "pool.jsonl"))
    other = line(1, reference="no")
    report = take_in(workload, log(tmp_path, [other, line(1), line(1), line(2), other]), skip_bad=True)
    assert (report.read, report.stored, report.duplicates, report.rejected) == (5, 2, 1, 2)
    assert report.rejects_file is not None
    rejected = [json.loads(text) for text in report.rejects_file.read_text().splitlines()]
    reason = "'r1' already holds other content in the pool"
    assert rejected == [{"line": number, "field": "id", "reason": reason} for number in (1, 5)]
    assert sorted(members(report.sample_set)) == ["r1", "r2"]
    assert set(RecordedContent.objects.values_list("response__sample__external_id", "text")) == {
        ("r1", "no"),
        ("r2", "no"),
    }


def test_nothing_of_the_temporary_tables_is_left(workload: Workload, tmp_path: Path) -> None:
    take_in(workload, log(tmp_path, [line(1)]))
    listing = "pg_class" if connection.vendor == "postgresql" else "sqlite_temp_master"
    name = "relname" if connection.vendor == "postgresql" else "name"
    names = [staging.STAGED, staging.BAD, *staged_pool._TABLES]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM {listing} WHERE {name} IN ({', '.join(['%s'] * len(names))})", names)
        assert cursor.fetchall() == []


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(request=VALUES, reference=VALUES, cluster=st.none() | TEXTS, text=st.none() | TEXTS, message=VALUES)
def test_both_digests_are_those_of_the_whole_content(
    request: object, reference: object, cluster: str | None, text: str | None, message: object
) -> None:
    """As the standard library writes canonical JSON: samples stored long ago must be found again."""
    sample = CapturedSample(
        1,
        "a",
        {"messages": request},
        cluster=cluster,
        segments={"z": "1", "é": "2"},
        reference=reference,
        response=CapturedResponse(text=text, message={"content": message}),
    )
    content = {
        "cluster": cluster,
        "reference": reference,
        "request": {"messages": request},
        "response": {"text": text, "message": {"content": message}},
        "segments": {"z": "1", "é": "2"},
    }
    expected = [
        sha256(
            json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            .replace("\\u007f", "\x7f")
            .encode()
        ).hexdigest()
        for value in (content, {**content, "response": None})
    ]
    assert list(sample_digests(sample)) == expected
