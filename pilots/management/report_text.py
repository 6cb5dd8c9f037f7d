"""Reports for a terminal. Public surface: ``TEXTS`` (report name -> its document as lines)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from evaluations.enums import Decision
from evaluations.selectors.drift import State
from pilots.enums import NotComputed
from pilots.selectors.claims import ClaimVerdict
from pilots.selectors.predictiveness import Finding

Document = Mapping[str, Any]
Row = tuple[str, ...]


def _retention(document: Document) -> Iterator[str]:
    yield f"Retention as of {document['as_of']}, known at {document['known_at']}"
    yield ""
    yield from _answer(document)
    for group in document["groups"]:
        yield ""
        yield f"== {document['filters']['by']}: {group['key']}"
        yield from _answer(group)
    if document["logrank"]:
        test = document["logrank"]
        yield ""
        yield f"Groups compared (log-rank): chi2 {test['chi2']:.3f}, {test['df']} df, p {test['p']:.4f}"
    if document["logrank_by_customer"]:
        yield f"The same, customers exchanged as wholes: {_by_customer(document['logrank_by_customer'])}"


def _by_customer(test: Document) -> str:
    if test["state"] != "computed":
        return str(test["state"])
    if test["p"] is None:
        return f"no p, nothing to exchange between {test['customers']} customers"
    how = "all" if test["exact"] else "random"
    return f"p {test['p']:.4f}, {test['customers']} customers, {how} {test['permutations']:,} labellings"


def _answer(answer: Document) -> Iterator[str]:
    yield answer["headline"]
    yield ""
    funnel = answer["funnel"]
    yield "  ".join(f"{name.replace('_', ' ')} {number}" for name, number in funnel.items() if name != "of_which")
    marked = [f"{name.replace('_', ' ')} {number}" for name, number in funnel["of_which"].items() if number]
    yield f"of which: {', '.join(marked)}" if marked else "of which: none marked"
    yield ""
    titles = {
        "at": "still on the candidate",
        "not_rolled_back": "not back on the incumbent model",
        "not_returned_to_vendor": "not back with the incumbent's vendor",
    }
    for name, title in titles.items():
        rows: list[Row] = [("day", "share", "95 % interval", "at risk", "customers", "worst to best")]
        rows += [_point(point) for point in answer[name]]
        yield title
        yield from _table(rows)
    if answer["median_days"] is not None:
        yield f"median {answer['median_days']} days"
    for reason in answer["reasons"]:
        yield f"rolled back for {reason['code']}: {reason['count']} ({', '.join(reason['pilots'])})"


def _point(point: Document) -> Row:
    if point["withheld"]:
        share = interval = extremes = "withheld"
    else:
        share = _percent(point["still_switched"])
        interval = f"{_percent(point['lower'])} to {_percent(point['upper'])}"
        extremes = f"{_percent(point['worst'])} to {_percent(point['best'])}"
    return str(point["day"]), share, interval, str(point["at_risk"]), str(point["customers"]), extremes


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.1f} %"


def _portfolio(document: Document) -> Iterator[str]:
    yield f"Portfolio as of {document['as_of']}, known at {document['known_at']}"
    yield "  ".join(f"{name.replace('_', ' ')} {number}" for name, number in document["counts"].items())
    yield ""
    columns = ("pilot", "team", "incumbent", "candidate", "status", "age_days", "spells", "last_confirmed")
    titles = ("pilot", "team", "from", "to", "status", "days", "periods", "known to")
    yield from _table([titles, *(tuple(_cell(row[name]) for name in columns) for row in document["pilots"])])
    if document["attention"]:
        yield ""
        yield "Needs attention"
        for matter in document["attention"]:
            yield f"  {matter['subject']}: {matter['words']}"


def _evidence(document: Document) -> Iterator[str]:
    yield f"Evidence as of {document['as_of']}, known at {document['known_at']}"
    for pilot in document["pilots"]:
        yield ""
        if pilot["run"] is None:
            yield f"{pilot['pilot']}: no replay has been read yet"
            continue
        marks = [words for name, words in _MARKS.items() if pilot[name]]
        yield f"{pilot['pilot']}: {Decision(pilot['decision']).label}{''.join(f' ({mark})' for mark in marks)}"
        yield f"  run {pilot['run']}, plan version {pilot['plan_version']}, {pilot['plan_digest'][:12]}"
        for comparison in pilot["comparisons"]:
            yield f"  {comparison['metric']}: {comparison['verdict'].replace('_', '-')}. {comparison['sentence']}"
        if (people := pilot["human_preference"]) is not None:
            mark = " (after the fact)" if people["after_the_fact"] else ""
            yield f"  {people['metric']}{mark}: {people['verdict'].replace('_', '-')}. {people['sentence']}"
        if (judge := pilot["judge"]) is not None:
            mark = " (after the fact)" if judge["after_the_fact"] else ""
            yield f"  {judge['metric']}{mark}: {judge['verdict'].replace('_', '-')}. {judge['sentence']}"


_MARKS = {"after_the_fact": "plan changed after the fact", "after_the_look": "after the look"}


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _claims(document: Document) -> Iterator[str]:
    yield f"Vendors' claims as of {document['as_of']}, known at {document['known_at']}"
    for claim in document["claims"]:
        yield ""
        yield f'{claim["model"]}, {claim["stated_on"]}: "{claim["words"]}"'
        yield f"  {ClaimVerdict(claim['verdict']).label}. {claim['test']}"
        for one in claim["evidence"]:
            yield f"  {one['pilot']}, run {one['run']}: {one['metric']} {one['verdict'].replace('_', '-')}"


def _rollback_reasons(document: Document) -> Iterator[str]:
    yield f"Rollback reasons as of {document['as_of']}, known at {document['known_at']}"
    yield ""
    yield document["headline"]
    if document["reasons"]:
        yield ""
        rows: list[Row] = [("reason", "rollbacks", "share", "95 % interval", "median days", "pilots")]
        for row in document["reasons"]:
            share, limits = "withheld", "withheld"
            if not document["withheld"]:
                share, limits = _percent(row["share"]), f"{_percent(row['lower'])} to {_percent(row['upper'])}"
            pilots = ", ".join(dict.fromkeys(one["pilot"] for one in row["rollbacks"]))
            rows.append((row["code"], str(row["count"]), share, limits, f"{row['median_days']:g}", pilots))
        yield from _table(rows)
    for group in document["groups"]:
        counts = ", ".join(f"{reason['code']} {reason['count']}" for reason in group["reasons"]) or "nobody went back"
        yield f"{document['filters']['by']} {group['key']}: {group['rolled_back']} of {group['switched']}: {counts}"


def _predictiveness(document: Document) -> Iterator[str]:
    yield f"Does the verdict predict staying? As of {document['as_of']}, known at {document['known_at']}"
    yield ""
    yield from document["sentences"]
    for row in document["verdicts"]:
        yield ""
        label = "no verdict read" if row["verdict"] is None else Decision(row["verdict"]).label
        yield (
            f"{label}: {row['switched']} of {row['attempts']} switched, {row['rolled_back']} rolled back,"
            f" {row['still_switched']} still on it"
        )
        if row["calibrated"]:
            table: list[Row] = [("day", "not back", "95 % interval", "at risk", "customers", "worst to best")]
            yield from _table(table + [_point(point) for point in row["not_rolled_back"]])
        for spell in row["spells"]:
            why = f" ({spell['reason']})" if spell["reason"] else ""
            yield f"  {spell['pilot']}: {spell['days']} days, {spell['status'].replace('_', ' ')}{why}"
    for missed in document["missed"]:
        yield ""
        yield f"rolled back for {missed['code']}: {missed['count']}"
        for one in missed["rollbacks"]:
            heard = ", ".join(f"{row['metric']} {row['verdict'].replace('_', '-')}" for row in one["criteria"])
            yield f"  {one['pilot']}: {Finding(one['finding']).label}{f' ({heard})' if heard else ''}"


def _costs(document: Document) -> Iterator[str]:
    yield f"Costs as of {document['as_of']}, known at {document['known_at']}"
    for pair in document["pairs"]:
        yield ""
        yield (
            f"{pair['incumbent']} to {pair['candidate']}: {len(pair['pilots'])} pilots, cost known of {pair['known']};"
            f" criteria met in {pair['met']}, not met in {pair['not_met']}"
        )
        if pair["ratio"] is not None:
            each = f"{pair['incumbent_per_request']} to {pair['candidate_per_request']} {pair['currency']}"
            yield f"  {each} a request (x {pair['ratio']:.3f}) over {pair['requests']} requests"
        if pair["monthly_incumbent"] is not None:
            yield f"  a month: {pair['monthly_incumbent']} to {pair['monthly_candidate']} {pair['currency']}"
    for row in document["pilots"]:
        yield ""
        yield f"{row['pilot']} ({row['incumbent']} to {row['candidate']}), run {row['run']}"
        yield from _cost_lines(row["lines"], row["currency"])
        if row["forecast"]:
            yield f"  at the prices of {row['forecast']['read_at'][:10]}:"
            yield from _cost_lines(row["forecast"]["lines"], row["currency"])
            for metric in row["forecast"]["no_longer_met"]:
                yield f"    {metric} was met at the prices of the run and is no longer shown to be"
        if row["what_if"]:
            yield "  at the supposed prices:"
            yield from _cost_lines(row["what_if"], row["currency"])
    if document["unread"]:
        yield ""
        yield f"{document['unread']} pilots have a plan and no reading yet"
    yield from _savings(document["savings"])


def _savings(savings: Document) -> Iterator[str]:
    for row in savings["sums"]:
        yield ""
        yield (
            f"Saved since the cutover: {_cents(row['net'])} {row['currency']} over {row['pilots']} pilots"
            f" ({_cents(row['would_have_cost'])} on the incumbents less {_cents(row['cost'])} paid"
            f" less {_cents(row['evaluated'])} for evaluating), {row['computed_days']} of {row['days']} days computed"
        )
        if row["unknown_calls"]:
            yield f"  {row['unknown_calls']} calls of unknown cost are not in it"
        if row["both_days"]:
            invoiced, computed = _cents(row["both_invoiced"]), _cents(row["both_computed"])
            yield f"  {row['both_days']} days known in both ways: {invoiced} invoiced, {computed} computed"
    for pilot in savings["pilots"]:
        found = pilot["savings"]
        yield ""
        saved = "not computed" if pilot["net"] is None else f"{_cents(pilot['net'])} {found['currency']}"
        total = found["total"]
        yield f"{pilot['pilot']}: saved {saved}, {total['computed_days']} of {total['days']} days computed"
        for gap in found["not_computed"]:
            days = gap["first_on"] if gap["days"] == 1 else f"{gap['first_on']} to {gap['last_on']}"
            yield f"  not computed: {days}, {NotComputed(gap['reason']).label}"
    if savings["waiting"]:
        yield ""
        yield f"{savings['waiting']} pilots have not been read yet and are in no sum"


def _cents(amount: str) -> str:
    return f"{Decimal(amount):,.2f}"


def _cost_lines(lines: Sequence[Document], currency: str) -> Iterator[str]:
    for line in lines:
        amounts = f"{line['incumbent'] or 'unknown'} to {line['candidate'] or 'unknown'} {currency}"
        ratio = "" if line["ratio"] is None else f", x {line['ratio']:.3f}"
        if line["lower"] is not None and line["upper"] is not None:
            ratio += f" ({line['lower']:.3f} to {line['upper']:.3f})"
        agreed = f"must stay under {line['max_ratio']:g}" if line["agreed"] else "no criterion, held against equal cost"
        why = f" ({line['reason']})" if line["reason"] else ""
        yield f"  {line['metric']}: {amounts}{ratio}; {agreed}: {line['verdict'].replace('_', '-')}{why}"
        for name, words in _TIPPING.items():
            if (price := line[name]) is not None:
                limits = "" if price["lower"] is None else f" ({price['lower']} to {price['upper']})"
                yield f"    {words} {price['output_per_mtok']}{limits} {currency} per million output tokens"


_TIPPING = {
    "candidate_must_stay_under": "met while the candidate costs under",
    "staying_is_cheaper_under": "staying is cheaper while the incumbent costs under",
}


def _drift(document: Document) -> Iterator[str]:
    yield f"Drift as of {document['as_of']}, known at {document['known_at']}"
    yield ""
    yield document["headline"]
    for pilot in document["pilots"]:
        yield ""
        version = f"plan version {pilot['plan_version']}, period {pilot['period']}"
        yield f"{pilot['pilot']}, {version}: {pilot['nights']} nights"
        for alarm in pilot["alarms"]:
            said = f"; {alarm['acknowledged_by']}: {alarm['note']}" if alarm["acknowledged_at"] else ""
            yield f"alarm in run {alarm['run']}, which ended period {alarm['period']}: {alarm['words']}{said}"
        rows: list[Row] = [("figure", "of", "state", "baseline", "sd", "last night", "moved in run")]
        for one in pilot["series"]:
            figures = (one["target"], one["sd"], one["nights"][-1]["value"])
            target, sd, last = ("" if value is None else f"{value:.6g}" for value in figures)
            rows.append(
                (one["metric"], one["side"], State(one["state"]).label, target, sd, last, _cell(one["signal_run"]))
            )
        yield from _table(rows)


TEXTS: Mapping[str, Callable[[Document], Iterator[str]]] = {
    "claims": _claims,
    "costs": _costs,
    "drift": _drift,
    "evidence": _evidence,
    "portfolio": _portfolio,
    "predictiveness": _predictiveness,
    "retention": _retention,
    "rollback-reasons": _rollback_reasons,
}
