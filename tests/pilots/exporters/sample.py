"""One small document that uses every kind of column, formula and page."""

from datetime import UTC, date, datetime
from decimal import Decimal

from pilots.exporters.base import (
    UNDISCLOSED,
    Chart,
    Column,
    Cover,
    Document,
    Formula,
    Kind,
    Series,
    Sheet,
    SummaryLine,
    Tone,
)

STATUS = {"switched": Tone.GOOD, "rolled back": Tone.BAD}
SPELLS = [
    ("Ticket triage", "switched", date(2026, 3, 1), 200, Decimal("1234.50"), 0.25, "non-inferior"),
    ("=2+3", "rolled back", date(2026, 4, 1), 30, None, -0.5, "worse"),
    ("007", "switched", date(2026, 5, 1), 120, Decimal("0.0012"), None, None),
]
COLUMNS = [
    Column("workload", "Workload", description="The production use of a model"),
    Column("status", "Status", Kind.VERDICT, tones=STATUS),
    Column("start", "Cutover on", Kind.DATE),
    Column("days", "Days", Kind.INTEGER),
    Column("cost", "Monthly cost", Kind.MONEY, currency="USD", unknown=UNDISCLOSED),
    Column("saving", "Saving", Kind.PERCENT),
    Column("verdict", "Verdict at cutover", Kind.VERDICT),
    Column("seen", "Last confirmed", Kind.DATETIME),
    Column("run", "Run", Kind.LINK),
    Column("note", "Note", unknown=""),
]
CURVE = [(0, 3, 0, 1.0), (30, 3, 1, 2 / 3), (120, 2, 0, 2 / 3), (200, 1, 0, 2 / 3)]
SURVIVAL = "IF(ROW()=2,1,N({survival:-1}))*(1-{events}/{at_risk})"


def document(rows=None, **changes):
    seen = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    rows = [(*row, seen, "https://example.com/run/1", None) for row in SPELLS] if rows is None else rows
    spells = Sheet("spells", "Spells", COLUMNS, rows, "Every period on the candidate", frozen_columns=1)
    curve = Sheet(
        "curve",
        "Survival curve",
        [
            Column("day", "Day", Kind.INTEGER),
            Column("at_risk", "At risk", Kind.INTEGER),
            Column("events", "Rolled back", Kind.INTEGER),
            Column("survival", "Still switched", Kind.PERCENT),
        ],
        [(day, at_risk, events, Formula(SURVIVAL, value)) for day, at_risk, events, value in CURVE],
        formulas=True,
    )
    summary = [
        SummaryLine("all", "Periods", "COUNTA({spells.workload})", 3, section="Funnel"),
        SummaryLine("switched", "Still switched", 'COUNTIF({spells.status},"switched")', 2, section="Funnel"),
        SummaryLine("share", "Share", "{summary.switched}/{summary.all}", 2 / 3, Kind.PERCENT, section="Funnel"),
        SummaryLine("cost", "Cost", "SUM({spells.cost})", Decimal("1234.5012"), Kind.MONEY, "Money", currency="USD"),
        SummaryLine("median", "Median", 'IF({summary.all}<5,"unknown",1)', None, Kind.INTEGER, "Money"),
        SummaryLine("first", "First cutover", "MIN({spells.start})", date(2026, 3, 1), Kind.DATE, "Evidence"),
        SummaryLine("verdict", "Verdict", "{spells.verdict:1}", "non-inferior", Kind.VERDICT, "Evidence"),
    ]
    cover = Cover("Who stayed", date(2026, 11, 24), "Ana", headline="2 of 3 stayed.", filters={"team": "a&b"})
    chart = Chart("Survival", "step", "curve", "day", [Series("survival", "candidate")], percent=True)
    fields = {"cover": cover, "sheets": [curve, spells], "file_stem": "x", "summary": summary, "chart": chart}
    return Document(**(fields | changes))
