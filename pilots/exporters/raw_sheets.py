"""Raw rows, streamed: every answer and every call of some runs. Public surface: ``answers_sheet``,
``calls_sheet``, ``Before``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evaluations.selectors.raw_rows import AnswerContent, RawAnswer, answers_of, calls_of
from pilots.exporters.base import Column, Kind, Sheet
from pilots.transcript import plain, turns

PURGED = "content purged"
_PLACES = 6  # of money: single calls cost fractions of a cent


def _only(currencies: Sequence[str]) -> str | None:
    """The currency for a heading; runs of several have it in the list of runs."""
    return currencies[0] if len(currencies) == 1 else None


Before = Sequence[tuple[Column, Callable[[RawAnswer], Any]]]


def answers_sheet(
    runs: Sequence[int],
    scorers: Sequence[str],
    currencies: Sequence[str],
    *,
    content: bool,
    vendor: str = "",
    before: Before = (),
) -> Sheet:
    """``content`` adds prompt, reference, answer, and what scorers and vendors said of them; ``before`` are columns.

    A ``vendor``'s copy holds the answers of its own models, and the samples by their number in the set.
    """
    columns = [
        *(column for column, _ in before),
        Column("run", "Run", Kind.INTEGER),
        Column("sample", "Sample", Kind.INTEGER, "Its number in the run's set")
        if vendor
        else Column("sample", "Sample", description="The log's own name of the request"),
        Column("arm", "Arm"),
        Column("repeat", "Repeat", Kind.INTEGER, "Counted from 0"),
        Column("outcome", "Outcome"),
        *(
            Column(f"score_{at}", f"Score: {key}", Kind.DECIMAL, "As the plan's scorer judged it", unknown="unscored")
            for at, key in enumerate(scorers)
        ),
        Column("latency", "Latency (ms)", Kind.DECIMAL, decimals=0),
        Column("ttft", "First token (ms)", Kind.DECIMAL, decimals=0),
        Column("input_uncached", "Input tokens, uncached", Kind.INTEGER),
        Column("cache_read", "Cache read tokens", Kind.INTEGER),
        Column("cache_write", "Cache write tokens", Kind.INTEGER),
        Column("output_total", "Output tokens", Kind.INTEGER, "Visible and reasoning"),
        Column("output_visible", "Visible output tokens", Kind.INTEGER, "Where the vendor says so"),
        Column("reasoning", "Reasoning tokens", Kind.INTEGER, "Where the vendor says so"),
        Column(
            "cost",
            "Cost",
            Kind.MONEY,
            "Of its calls but those whose result was lost",
            currency=_only(currencies),
            decimals=_PLACES,
        ),
        Column("attempts", "Calls", Kind.INTEGER, "0: the recorded answer"),
        Column("served_model", "Served model", description="As the vendor named it"),
        *(() if vendor else (Column("segments", "Segments", unknown=""),)),
        Column("finished", "Finished", Kind.DATETIME),
    ]
    if content:
        columns += [
            Column("prompt", "Prompt", content=True, width=60),
            Column("reference", "Reference", content=True, width=30, unknown=""),
            Column("answer", "Answer", content=True, width=60, unknown="none"),
            Column("details", "What was compared", content=True, width=40, unknown=""),
            Column("error", "Error", content=True, width=40, unknown=""),
        ]
    rows = (
        [*(told(row) for _, told in before), *_answer(row, scorers, bool(vendor))]
        for row in answers_of(runs, content=content, vendor=vendor)
    )
    return Sheet("answers", "Completions", columns, rows, "Every answer or failure, one a row", frozen_columns=3)


def _answer(row: RawAnswer, scorers: Sequence[str], nameless: bool) -> list[Any]:
    segments = "; ".join(f"{name}: {value}" for name, value in row.segments.items()) or None
    return [
        row.run,
        row.position if nameless else row.sample,
        row.role.label,
        row.repeat,
        row.outcome.label,
        *(row.scores.get(key) for key in scorers),
        row.latency_ms,
        row.ttft_ms,
        row.input_uncached_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
        row.output_total_tokens,
        row.output_visible_tokens,
        row.reasoning_tokens,
        row.cost,
        row.attempts,
        row.served_model or None,
        *(() if nameless else (segments,)),
        row.finished_at,
        *(_content(row.content) if row.content else ()),
    ]


def _content(content: AnswerContent) -> Iterator[str | None]:
    if content.purged:
        yield from (PURGED, None, PURGED, None, None)
        return
    spoken = [turn.text if turn.role == "request" else f"{turn.role}: {turn.text}" for turn in turns(content.request)]
    yield "\n\n".join(spoken) or None
    yield None if content.reference is None else plain(content.reference)
    yield plain(content.message) if content.text is None and content.message is not None else content.text
    yield "; ".join(f"{key}: {detail}" for key, detail in content.details.items() if detail) or None
    yield content.error or None


def calls_sheet(runs: Sequence[int], currencies: Sequence[str]) -> Sheet:
    columns = [
        Column("run", "Run", Kind.INTEGER),
        Column("sample", "Sample"),
        Column("arm", "Arm"),
        Column("repeat", "Repeat", Kind.INTEGER),
        Column("number", "Attempt", Kind.INTEGER, "Counted from 1, for one sample, arm and repeat"),
        Column("sent", "Sent", Kind.DATETIME),
        Column("state", "State"),
        Column("outcome", "Outcome"),
        Column("http", "HTTP status", Kind.INTEGER, unknown=""),
        Column("latency", "Latency (ms)", Kind.DECIMAL, decimals=0),
        Column("cost", "Cost", Kind.MONEY, currency=_only(currencies), decimals=_PLACES),
        Column("request_id", "Vendor's request id", unknown=""),
    ]
    rows = (
        (
            call.run,
            call.sample,
            call.role.label,
            call.repeat,
            call.number,
            call.sent_at,
            call.state.label,
            call.outcome.label if call.outcome else None,
            call.http_status,
            call.latency_ms,
            call.cost,
            call.request_id or None,
        )
        for call in calls_of(runs)
    )
    return Sheet(
        "calls", "Calls", columns, rows, "Every call that was sent, as it may be on an invoice", frozen_columns=3
    )
