"""What logs say of usage: formats, units, what is unknown, and what is refused."""

from __future__ import annotations

import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluations.capture.base import BadLine, CaptureError
from evaluations.capture.tabular import Block
from evaluations.capture.usage import UsageRow, _by_columns, _by_rows, open_usage

HEADER = "workload,day,model,requests,input_tokens,output_tokens,errors,cost,currency\n"


def read(path: Path) -> list[UsageRow | BadLine]:
    return list(open_usage(path).rows)


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_table_of_daily_usage(tmp_path: Path) -> None:
    path = tmp_path / "traffic.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "triage,2026-09-03,gpt-4,120,3600,,2,1.25,EUR\n").encode()))
    assert read(path) == [
        UsageRow(2, "triage", (), "gpt-4", date(2026, 9, 3), 120, 3600, None, 2, Decimal("1.25"), "EUR")
    ]


def test_json_lines_of_daily_usage(tmp_path: Path) -> None:
    row = {"workload": "triage", "day": "2026-09-03", "model": "gpt-4", "requests": 7, "cost": 0.1}
    assert read(written(tmp_path / "traffic.ndjson", row)) == [
        UsageRow(1, "triage", (), "gpt-4", date(2026, 9, 3), 7, cost=Decimal("0.1"), currency="USD")
    ]


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        (",2026-09-03,gpt-4,1", "workload", "is missing"),
        ("triage,03.09.2026,gpt-4,1", "day", "'03.09.2026' is not a date (YYYY-MM-DD)"),
        ("triage,2026-09-03,gpt-4,", "requests", "is missing"),
        ("triage,2026-09-03,gpt-4,-1", "requests", "'-1' is not a whole number of zero or more"),
        ("triage,2026-09-03,gpt-4,1.5", "requests", "'1.5' is not a whole number of zero or more"),
        ("triage,2026-09-03,gpt-4,1,,,2", "errors", "2 are more than the 1 requests"),
        ("triage,2026-09-03,gpt-4,1,,,,NaN", "cost", "'NaN' is not an amount of money of zero or more"),
        ("triage,2026-09-03,gpt-4,1,,,,1,eur", "currency", "'eur' is not a code of three capital letters"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, cells: str, field: str, reason: str) -> None:
    path = tmp_path / "traffic.csv"
    path.write_text(HEADER + cells + "\n")
    assert read(path) == [BadLine(2, field, reason)]


def test_a_file_without_usage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"other\.jsonl: no usage is read from this format; known are "):
        read(written(tmp_path / "other.jsonl", {"request": {}, "reference": 1}))
    (tmp_path / "few.csv").write_text("workload,day,model\ntriage,2026-09-03,gpt-4\n")
    with pytest.raises(CaptureError, match="line 1: the column 'requests' is missing"):
        read(tmp_path / "few.csv")
    (tmp_path / "none.csv").write_text(HEADER)
    with pytest.raises(CaptureError, match=r"none\.csv: there is no row under the column names"):
        read(tmp_path / "none.csv")


def test_litellm_spend_logs(tmp_path: Path) -> None:
    row = {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "spend": 0.00125, "startTime": "2026-09-03 23:59:59.5",
        "model": "azure/gpt-4o", "prompt_tokens": 10, "completion_tokens": 5, "status": "success",
        "metadata": '{"user_api_key_alias": "support-bot"}', "request_tags": '["team:search", "User-Agent: curl"]',
    }  # fmt: skip
    failed = row | {"request_id": "chatcmpl-2", "status": "failure", "spend": 0, "prompt_tokens": 0}
    one, two = read(written(tmp_path / "spend.jsonl", row, failed))
    assert isinstance(one, UsageRow)
    assert one._replace(call="") == UsageRow(
        1, "support-bot", ("team:search",), "azure/gpt-4o", date(2026, 9, 3), 1, 10, 5, 0, Decimal("0.00125"), "USD"
    )
    assert isinstance(two, UsageRow)
    assert (two.errors, two.input_tokens, two.cost) == (1, None, None)


def test_spans_and_diagnostics_say_who_asked(tmp_path: Path) -> None:
    span = {
        "spanId": "a1", "startTimeUnixNano": "1756857600000000000", "status": {"code": 2},
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
        ],
    }  # fmt: skip
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "triage-api"}}]}
    path = written(
        tmp_path / "spans.jsonl", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    )
    [row] = read(path)
    assert isinstance(row, UsageRow)
    assert row[1:9] == ("triage-api", (), "gpt-4o", date(2025, 9, 3), 1, None, None, 1)
    line = {
        "category": "RequestResponse", "operationName": "ChatCompletions_Create", "resultSignature": "200",
        "durationMs": 10, "time": "2026-09-03T10:00:00Z", "correlationId": "c", "resourceId": "/X/ACCOUNTS/EAST",
        "properties": json.dumps({"modelDeploymentName": "prod", "modelName": "gpt-4o", "modelVersion": "1"}),
    }  # fmt: skip
    [row] = read(written(tmp_path / "azure.jsonl", line, line | {"category": "Audit"}))
    assert isinstance(row, UsageRow)
    assert row[1:9] == ("prod", ("east",), "gpt-4o-1", date(2026, 9, 3), 1, None, None, 0)


CELLS = {
    "workload": st.sampled_from(["triage", " memos ", "", "a\tb", "x" * 201]),
    "day": st.sampled_from(["2026-09-03", "2026-09-04T10:00:00Z", "", "soon", "1999-01-01"]),
    "model": st.sampled_from(["gpt-4", "GPT-4", ""]),
    "requests": st.sampled_from(["83", "0", "", "-1", "1_0", "٣", "9" * 15, "9" * 16, " 7 "]),
    "input_tokens": st.sampled_from(["1000", "", "12.5"]),
    "output_tokens": st.sampled_from(["", "20"]),
    "errors": st.sampled_from(["", "1", "84"]),
    "cost": st.sampled_from(["4.15", "", "0", "-1", "1e3", "1.1.1", "9000000", "0.123456789012", ".", "NaN"]),
    "currency": st.sampled_from(["", "EUR", "eur", "Euro"]),
}


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=4))
def test_whole_columns_say_what_single_rows_say(rows: list[dict[str, str]]) -> None:
    block = Block(list(CELLS), range(2, 2 + len(rows)), [list(row.values()) for row in rows])
    by_columns = _by_columns(block)
    assert by_columns is None or list(by_columns) == list(_by_rows(block))


def test_plain_cells_are_read_by_columns() -> None:
    cells = ["triage", "2026-09-03", "gpt-4", "83", "1000", "", "1", "4.15", "EUR"]
    [row] = _by_columns(Block(list(CELLS), [2], [cells])) or ()
    assert row == UsageRow(2, "triage", (), "gpt-4", date(2026, 9, 3), 83, 1000, None, 1, Decimal("4.15"), "EUR")
