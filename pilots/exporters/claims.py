"""The vendor-claim ledger: the exact words, what could decide them, what our replays found.

Public surface: ``ClaimsExporter``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pilots.exporters.base import Column, Cover, Document, ExportRequest, Formula, Kind, Sheet, SummaryLine, Tone
from pilots.exporters.vendor_copy import Copy, copy_for
from pilots.exporters.words import digest_of, stem
from pilots.selectors.claims import TESTS, ClaimRow, ClaimVerdict, claims

CLAIM_TONES: Mapping[str, Tone] = {
    ClaimVerdict.SUPPORTED.label: Tone.GOOD,
    ClaimVerdict.CONTRADICTED.label: Tone.BAD,
    ClaimVerdict.NOT_ENOUGH.label: Tone.CAUTION,
    ClaimVerdict.NOT_TESTABLE.label: Tone.UNKNOWN,
}
DEFINITIONS: Mapping[str, str] = {
    "Supported": "At least one agreed criterion of a pilot with this model as its candidate is better or non-inferior, "
    "and none is worse.",
    "Contradicted": "At least one such criterion is worse than agreed.",
    "Not enough evidence": "No such criterion is decided.",
    "Not testable by replay": "No answer to a request can show it, whatever it says.",
}


class ClaimsExporter:
    key = "claims"
    version = "1"
    label = "Vendors' claims"
    vendor_copies = True

    def build(self, request: ExportRequest) -> Document:
        filters, copy = request.filters, copy_for(request)
        report = claims(filters, copy.pilots)
        said = [claim for claim in report.claims if copy.owns(claim.model)]
        return Document(
            cover=Cover(
                title="What vendors claim, and what our replays found",
                as_of=filters.as_of,
                who=copy.who,
                audience=request.audience,
                headline=_headline(said),
                filters=copy.filters,
                left_out=copy.left_out,
                definitions=DEFINITIONS,
                digest=digest_of([claim.to_document() for claim in said]),
            ),
            sheets=[_claims_sheet(said), _bearings_sheet(said, copy)],
            file_stem=stem("claims", filters.as_of, request.audience),
            summary=list(_lines(said)),
        )


def _headline(said: Sequence[ClaimRow]) -> str:
    counts = Counter(claim.verdict for claim in said)
    parts = ", ".join(f"{counts[verdict]} {verdict.label}" for verdict in ClaimVerdict)
    return f"{len(said)} claim{'' if len(said) == 1 else 's'}: {parts}."


def _claims_sheet(said: Sequence[ClaimRow]) -> Sheet:
    columns = [
        Column("claim", "Claim", Kind.INTEGER),
        Column("model", "Model"),
        Column("vendor", "Vendor"),
        Column("kind", "Kind"),
        Column("words", "Exact words", width=60, wrap=True),
        Column("stated", "Stated", Kind.DATE),
        Column("verdict", "Verdict", Kind.VERDICT, tones=CLAIM_TONES),
        Column("found", "Criteria that bear on it", Kind.INTEGER),
        Column("test", "What could decide it", width=50, wrap=True),
        Column("source", "Source", Kind.LINK, unknown="not said"),
    ]
    rows = [
        [
            claim.id,
            claim.model,
            claim.vendor,
            claim.kind.label,
            claim.words,
            claim.stated_on,
            claim.verdict.label,
            Formula("COUNTIFS({bearings.claim},{claim})", len(claim.bearings)),
            TESTS[claim.kind],
            claim.source or None,
        ]
        for claim in said
    ]
    return Sheet("claims", "Claims", columns, rows, "Each claim with its verdict", formulas=True, frozen_columns=2)


def _bearings_sheet(said: Sequence[ClaimRow], copy: Copy) -> Sheet:
    columns = [
        Column("claim", "Claim", Kind.INTEGER),
        Column("pilot", "Pilot"),
        Column("team", "Team"),
        Column("incumbent", "Against", description="The incumbent of the pilot"),
        Column("run", "Run", Kind.INTEGER),
        Column("criterion", "Criterion"),
        Column("role", "Role"),
        Column("verdict", "Verdict", Kind.VERDICT),
        Column("n", "Samples", Kind.INTEGER),
        *(() if copy.vendor else (Column("sentence", "In words", width=100),)),
    ]
    rows = [
        [
            claim.id,
            copy.pilot(bearing.evidence.pilot, bearing.evidence.team),
            copy.team(bearing.evidence.team),
            copy.model(bearing.evidence.incumbent),
            bearing.evidence.run,
            bearing.criterion.label,
            bearing.criterion.role.label,
            bearing.criterion.verdict.label,
            bearing.criterion.n,
            *(() if copy.vendor else (bearing.criterion.sentence,)),
        ]
        for claim in said
        for bearing in claim.bearings
    ]
    return Sheet("bearings", "Evidence", columns, rows, "Every criterion that bears on a claim", frozen_columns=2)


def _lines(said: Sequence[ClaimRow]) -> Iterator[SummaryLine]:
    section = "Claims by verdict"
    yield SummaryLine("claims", "Claims", "COUNT({claims.claim})", len(said), section=section)
    counts = Counter(claim.verdict for claim in said)
    for verdict in ClaimVerdict:
        formula = f'COUNTIFS({{claims.verdict}},"{verdict.label}")'
        words = verdict.label[:1].upper() + verdict.label[1:]
        yield SummaryLine(verdict.value, words, formula, counts[verdict], section=section)
    bearings = sum(len(claim.bearings) for claim in said)
    yield SummaryLine("bearings", "Criteria that bear on one", "COUNT({bearings.claim})", bearings, section=section)
