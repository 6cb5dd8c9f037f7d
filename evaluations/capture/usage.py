"""How much a log says was used: by day, key and model. Public surface: ``open_usage``, ``UsageFile``, ``UsageRow``.

Tables and JSON lines of daily totals (``workload, day, model, requests, ...``), and logs with one call a line:
LiteLLM's spend logs and standard logging, OTLP GenAI spans, Azure's diagnostic log. What a format does not say is None,
never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from evaluations.capture.base import BadLine, CaptureError
from evaluations.capture.chat import instant, mapping
from evaluations.capture.lines import FieldError, decode, first_keys, head, read_groups
from evaluations.capture.otel_genai import model_calls, nanoseconds
from evaluations.capture.tabular import Block, read_blocks

REQUIRED = ("workload", "day", "model", "requests")
MOST_NAME = 200  # characters
MOST_TAGS = 20
MOST_ROWS = 5_000_000  # of a table
_MOST_COUNT = 2**53  # exact in JSON everywhere, and no column overflows in a sum of a thousand
_MOST_COST = Decimal(9_000_000)
_COST_STEP = Decimal("1e-12")
_EARLIEST = date(2000, 1, 1)


class UsageRow(NamedTuple):
    """Usage of one day under one set of names. Of a log with one call a line, each row is one call."""

    line: int
    key_alias: str  # '': not said
    tags: tuple[str, ...]  # sorted
    wire_name: str
    day: date  # UTC
    requests: int  # errors included
    input_tokens: int | None = None  # None: not said, here and below
    output_tokens: int | None = None
    errors: int | None = None
    cost: Decimal | None = None
    currency: str = ""
    call: str = ""  # what makes a call this one and no other; '': a total of a day


@dataclass(frozen=True, slots=True)
class UsageFile:
    label: str  # of the format
    calls: bool  # one call a row, to be added up; else a row is a day's total
    rows: Iterator[UsageRow | BadLine]


def open_usage(path: Path) -> UsageFile:
    """The usage in ``path``, recognised by its beginning. Raises ``CaptureError`` for what holds none, also later."""
    start = head(path)
    if not start.strip():
        raise CaptureError(f"{path.name}: the file is empty")
    keys = first_keys(start)
    if not keys:
        return UsageFile("table of daily usage", False, _table(path))
    if {"workload", "model", "requests"} & keys and "startTime" not in keys:
        return UsageFile("daily usage (JSON lines)", False, read_groups(path, _daily))
    if "startTime" in keys and {"call_type", "spend", "response_cost"} & keys:
        return UsageFile("LiteLLM log", True, read_groups(path, _litellm))
    if "resourceSpans" in keys or ("attributes" in keys and (b'"gen_ai.' in start or b'"llm.' in start)):
        return UsageFile("OpenTelemetry GenAI spans", True, read_groups(path, _spans))
    if {"category", "operationName", "resultSignature"} <= keys:
        return UsageFile("Azure OpenAI diagnostic log", True, read_groups(path, _azure))
    known = "a table or JSON lines of daily usage, LiteLLM spend logs, OTLP GenAI spans, Azure diagnostic logs"
    raise CaptureError(f"{path.name}: no usage is read from this format; known are {known}")


def daily_row(line: int, row: dict[str, Any]) -> UsageRow:
    """One day's total as ``workload, day, model, requests, input_tokens, ...``. Raises ``FieldError``."""
    requests = _count(row.get("requests"), "requests")
    if requests is None:
        raise FieldError("requests", "is missing")
    errors = _count(row.get("errors"), "errors")
    if errors is not None and errors > requests:
        raise FieldError("errors", f"{errors} are more than the {requests} requests")
    cost = _cost(row.get("cost"))
    currency = _currency(row.get("currency"))
    return UsageRow(
        line,
        _name(row.get("workload"), "workload"),
        (),
        _name(row.get("model"), "model"),
        _day(row.get("day")),
        requests,
        _count(row.get("input_tokens"), "input_tokens"),
        _count(row.get("output_tokens"), "output_tokens"),
        errors,
        cost,
        "" if cost is None else currency or "USD",  # as for a price
    )


def _table(path: Path) -> Iterator[UsageRow | BadLine]:
    empty = True
    for block in read_blocks(path, max_rows=MOST_ROWS):
        if empty and (missing := [name for name in REQUIRED if name not in block.names]):
            raise CaptureError(f"{path.name}: line 1: the column {missing[0]!r} is missing")
        empty = False
        yield from _by_columns(block) or _by_rows(block)
    if empty:
        raise CaptureError(f"{path.name}: there is no row under the column names")


def _by_rows(block: Block) -> Iterator[UsageRow | BadLine]:
    for line, cells in zip(block.lines, block.rows, strict=True):
        try:
            yield daily_row(line, dict(zip(block.names, cells, strict=True)))
        except FieldError as error:
            yield BadLine(line, error.field, error.reason)


def _by_columns(block: Block) -> Iterator[UsageRow] | None:
    """The same rows five times as fast, where every cell is written plainly; None: they are to be read one by one."""
    columns = dict(zip(block.names, zip(*block.rows, strict=True), strict=True))
    nothing = ("",) * len(block.rows)
    names, models = (list(map(_read_name, columns[name])) for name in ("workload", "model"))
    requests, input_tokens, output_tokens, errors = (
        _plain_counts(columns.get(name, nothing)) for name in ("requests", "input_tokens", "output_tokens", "errors")
    )
    costs = _plain_costs(columns.get("cost", nothing))
    if not (requests and input_tokens and output_tokens and errors and costs and all(names) and all(models)):
        return None
    if None in requests or any(n is not None and n > total for n, total in zip(errors, requests, strict=True)):  # type: ignore[operator]
        return None
    try:
        days = list(map(_read_day, columns["day"]))
        known = {text: _currency(text) for text in set(columns.get("currency", nothing))}
    except FieldError:
        return None
    currencies = [
        "" if cost is None else known[text] or "USD"
        for cost, text in zip(costs, columns.get("currency", nothing), strict=True)
    ]
    told = (names, repeat(()), models, days, requests, input_tokens, output_tokens, errors, costs, currencies)
    return map(UsageRow._make, zip(block.lines, *told, repeat("")))


def _plain_counts(cells: Sequence[str]) -> list[int | None] | None:
    """Counts of at most 15 digits, or nothing; None where a cell holds anything else."""
    digits = "".join(cells)
    if not digits:
        return [None] * len(cells)
    if not (digits.isascii() and digits.isdigit()) or max(map(len, cells)) > 15:
        return None
    return [int(cell) if cell else None for cell in cells] if "" in cells else list(map(int, cells))


def _plain_costs(cells: Sequence[str]) -> list[Decimal | None] | None:
    """Amounts in digits with at most one point, of not more places than are kept; None as for counts."""
    digits = "".join(cells)
    if not digits:
        return [None] * len(cells)
    if not (digits.isascii() and digits.replace(".", "").isdigit()) or max(map(len, cells)) > 13:
        return None
    try:
        costs = [Decimal(cell) if cell else None for cell in cells]
    except InvalidOperation:
        return None
    return costs if max(cost for cost in costs if cost is not None) < _MOST_COST else None


def _daily(line: int, value: Any) -> Iterable[UsageRow]:
    return (daily_row(line, mapping(value, "")),)


@lru_cache(maxsize=65_536)
def _read_name(text: str) -> str:
    name = text.strip()
    return name if len(name) <= MOST_NAME and name.isprintable() else ""


def _name(value: Any, at: str) -> str:
    if isinstance(value, str) and (name := _read_name(value)):
        return name
    if not isinstance(value, str) or not value.strip():
        raise FieldError(at, "is missing" if value is None or isinstance(value, str) else "must be text")
    raise FieldError(at, f"is not a name: printable, {MOST_NAME} characters at the most")


@lru_cache(maxsize=4096)
def _read_day(text: str) -> date:
    moment = instant(text, "day")
    if moment is None:
        raise FieldError("day", "is missing")
    return _checked(moment.date())


def _day(value: Any) -> date:
    if value is None or value == "":
        raise FieldError("day", "is missing")
    if not isinstance(value, str):
        raise FieldError("day", "must be a date (YYYY-MM-DD)")
    try:
        return _read_day(value)
    except FieldError as error:
        if error.reason.startswith("is not an ISO"):
            raise FieldError("day", f"{value[:40]!r} is not a date (YYYY-MM-DD)") from None
        raise


def _checked(day: date) -> date:
    if day < _EARLIEST:
        raise FieldError("day", f"{day} lies before there was anything to observe")
    return day


def _count(value: Any, at: str) -> int | None:
    if isinstance(value, str):
        if value.isdigit() and value.isascii() and len(value) <= 15:  # nearly always
            return int(value)
        text = value.strip()
        if not text:
            return None
        count = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else -1
    elif value is None:
        return None
    elif isinstance(value, float) and value.is_integer():
        count = int(value)
    else:
        count = value if isinstance(value, int) and not isinstance(value, bool) else -1
    if not 0 <= count <= _MOST_COUNT:
        raise FieldError(at, f"{str(value)[:40]!r} is not a whole number of zero or more")
    return count


def _currency(value: Any) -> str:
    currency = value or ""
    if currency and not (
        isinstance(currency, str) and len(currency) == 3 and currency.isalpha() and currency.isupper()
    ):
        raise FieldError("currency", f"{str(currency)[:20]!r} is not a code of three capital letters")
    return str(currency)


def _cost(value: Any, at: str = "cost") -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        # A float is what it reads as, not its binary fraction.
        cost = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not 0 <= cost < _MOST_COST:  # NaN raises
            raise InvalidOperation
        # Twelve places are kept.
        return cost if cost.as_tuple().exponent >= -12 else cost.quantize(_COST_STEP)  # type: ignore[operator]
    except (InvalidOperation, TypeError, ValueError):
        raise FieldError(at, f"{str(value)[:40]!r} is not an amount of money of zero or more") from None


# ---- Logs with one call a line ----


def _call(
    line: int, at: datetime | None, field: str, *, alias: Any, tags: Iterable[Any] = (), model: Any, identity: Any,
    **said: Any
) -> UsageRow:  # fmt: skip
    if at is None:
        raise FieldError(field, "is missing")
    moment = at.astimezone(UTC)
    texts = {text for tag in tags if isinstance(tag, str) and (text := _read_name(tag))}
    return UsageRow(
        line,
        _read_name(alias) if isinstance(alias, str) else "",
        tuple(sorted(texts)[:MOST_TAGS]),
        _name(model, "model"),
        _checked(moment.date()),
        1,
        **said,
        # Not every gateway's ids are unique for ever; those of one instant are.
        call=f"{identity}@{moment.isoformat()}" if identity else "",
    )


def _litellm(line: int, value: Any) -> Iterable[UsageRow]:
    """A row of ``LiteLLM_SpendLogs`` or a standard logging payload; both write these names alike."""
    row = mapping(value, "")
    metadata = row.get("metadata") or {}
    metadata = mapping(decode(metadata, "metadata") if isinstance(metadata, str) else metadata, "metadata")
    tags = row.get("request_tags") or []
    tags = decode(tags, "request_tags") if isinstance(tags, str) else tags
    failed = row.get("status") == "failure" or metadata.get("status") == "failure"
    cost = _cost(row.get("spend", row.get("response_cost")), "spend")
    yield _call(
        line,
        instant(row.get("startTime"), "startTime"),
        "startTime",
        alias=metadata.get("user_api_key_alias") or metadata.get("user_api_key_team_alias"),
        # The gateway adds the caller's software by itself: it says nothing of the workload, and changes with it.
        tags=(tag for tag in (tags if isinstance(tags, list) else []) if not str(tag).startswith("User-Agent:")),
        model=row.get("model") or row.get("model_group"),
        identity=row.get("request_id") or row.get("id"),
        input_tokens=None if failed else _count(row.get("prompt_tokens"), "prompt_tokens"),
        output_tokens=None if failed else _count(row.get("completion_tokens"), "completion_tokens"),
        errors=int(failed),
        cost=None if failed and not cost else cost,
        currency="USD" if cost is not None else "",
    )


def _spans(line: int, value: Any) -> Iterator[UsageRow | BadLine]:
    for where, resource, span, attributes in model_calls(mapping(value, "")):
        try:
            started, status = nanoseconds(span, "startTimeUnixNano"), span.get("status")
            failed = isinstance(status, dict) and status.get("code") in (2, "STATUS_CODE_ERROR")
            model = attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model")
            tokens = {
                "input_tokens": attributes.get("gen_ai.usage.input_tokens", attributes.get("llm.token_count.prompt")),
                "output_tokens": attributes.get(
                    "gen_ai.usage.output_tokens", attributes.get("llm.token_count.completion")
                ),
            }
            yield _call(
                line,
                None if started is None else instant(started / 1e9, "startTimeUnixNano"),
                "startTimeUnixNano",
                alias=resource.get("service.name") or attributes.get("service.name"),
                tags=[attributes.get("gen_ai.agent.name")],
                model=model or attributes.get("llm.model_name"),
                identity=span.get("spanId"),
                **{name: None if failed else _count(count, name) for name, count in tokens.items()},
                errors=int(failed),
            )
        except FieldError as error:
            yield BadLine(line, ".".join(part for part in (where, error.field) if part), error.reason)


def _azure(line: int, value: Any) -> Iterable[UsageRow]:
    """The deployment stands in the key's place: it is what the caller chose. There are neither tokens nor costs."""
    row = mapping(value, "")
    if row.get("category") != "RequestResponse":
        return
    logged = row.get("properties") or {}
    properties = mapping(decode(logged, "properties") if isinstance(logged, str) else logged, "properties")
    model = "-".join(str(properties[key]) for key in ("modelName", "modelVersion") if properties.get(key))
    deployment = properties.get("modelDeploymentName")
    yield _call(
        line,
        instant(row.get("time"), "time"),
        "time",
        alias=deployment,
        tags=[str(row.get("resourceId") or "").rpartition("/")[2].lower()],
        model=model or deployment,
        identity=row.get("correlationId"),
        errors=int(str(row.get("resultSignature")) != "200"),
    )
