"""One sheet as a Parquet file with typed columns. Public surface: ``write_parquet``, ``why_not``.

Unknown is null. Needs pyarrow, which is the optional extra ``parquet``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from hashlib import file_digest
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from pilots.exporters.base import Column, Formula, Kind, Sheet, WrittenFile
from pilots.exporters.cells import utc, words_of

_GROUP = 20_000  # rows held at once
_PLACES = 12  # of money, as the ledger keeps it


def why_not() -> str:
    """Why this site cannot write Parquet; '' if it can."""
    if find_spec("pyarrow") is not None:
        return ""
    return "Parquet needs pyarrow, which is not installed here: pip install 'model-switch-pilots[parquet]'"


def write_parquet(sheet: Sheet, path: Path) -> WrittenFile:
    """``ValueError`` where pyarrow is missing, and for a value that its column's type cannot hold."""
    if reason := why_not():
        raise ValueError(reason)
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    types = {
        Kind.INTEGER: pa.int64(),
        Kind.DECIMAL: pa.float64(),
        Kind.PERCENT: pa.float64(),
        Kind.MONEY: pa.decimal128(38, _PLACES),
        Kind.DATE: pa.date32(),
        Kind.DATETIME: pa.timestamp("us", tz="UTC"),
    }
    fields = [
        pa.field(column.key, types.get(column.kind, pa.string()), metadata=_about(column)) for column in sheet.columns
    ]
    schema = pa.schema(fields)
    stores = [_store(column) for column in sheet.columns]
    rows, written = iter(sheet.rows), 0
    with parquet.ParquetWriter(str(path), schema, compression="zstd") as writer:
        while group := list(islice(rows, _GROUP)):
            columns = [
                pa.array([store(_now(row[at])) for row in group], type=field.type)
                for at, (store, field) in enumerate(zip(stores, fields, strict=True))
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            written += len(group)
    with path.open("rb") as handle:
        return WrittenFile({sheet.title: written}, file_digest(handle, "sha256").hexdigest(), path.stat().st_size)


def _about(column: Column) -> dict[str, str]:
    told = {"heading": column.header, "description": column.description, "currency": column.currency or ""}
    return {name: words for name, words in told.items() if words}


def _now(value: Any) -> Any:
    return value.value if isinstance(value, Formula) else value


def _store(column: Column) -> Callable[[Any], Any]:
    takes: Mapping[Kind, Callable[[Any], Any]] = {
        Kind.INTEGER: lambda value: value if isinstance(value, int) else None,
        Kind.DECIMAL: _number,
        Kind.PERCENT: _number,
        Kind.MONEY: lambda value: round(Decimal(str(value)), _PLACES) if _number(value) is not None else None,
        Kind.DATE: lambda value: value if type(value) is date else None,
        Kind.DATETIME: lambda value: utc(value, column.key) if isinstance(value, datetime) else None,
    }
    take = takes.get(column.kind) or words_of

    def store(value: Any) -> Any:
        # An empty text is a cell left empty, in whatever column.
        if value is None or (value == "" and column.kind in takes):
            return None
        stored = take(value)
        if stored is None and not (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"column {column.key} holds {words_of(value)!r}, which Parquet cannot keep; use CSV")
        return stored

    return store


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        return None
    return float(value)
