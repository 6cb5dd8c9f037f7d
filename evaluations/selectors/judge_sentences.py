"""What a model judge says, for directors. Public surface: ``judge_sentence``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.enums import JudgeMode, Verdict
from evaluations.selectors.sentences import REASONS, points


def judge_sentence(document: Mapping[str, Any], mode: JudgeMode, read: Mapping[str, Any]) -> str:
    """``document`` is the frozen plan's; ``read`` the judge's row in the terms of a comparison."""
    judge = document["judge"]["model"]
    incumbent, candidate = (document["arms"][role]["model"] for role in ("incumbent", "candidate"))
    word, difference = Verdict(read["verdict"]), read["difference"]
    if difference is None:
        return "Not computable: the judge's answers say nothing."
    n = read["n"]
    basis = f"95 % interval {points(read['lower'])} to {points(read['upper'])} points, {n:,} samples"
    ahead, behind = (candidate, incumbent) if difference > 0 else (incumbent, candidate)
    by = f"{100 * abs(difference):.1f} points"
    if mode is JudgeMode.RUBRIC:
        finding = f"marks {ahead} {by} of its scale above {behind}"
    else:
        finding = f"prefers {ahead} to {behind} by {by}, in both orders"
    if difference == 0:
        finding = f"prefers neither of {incumbent} and {candidate}"
    if word in (Verdict.BETTER, Verdict.WORSE):
        return f"{judge} {finding} ({basis}), and so do people who read a random part.{_order(read)}"
    if word is Verdict.NON_INFERIOR:
        people = "people who read a random part point the same way"
        return f"{judge} finds {candidate} behind by no more than the agreed margin ({basis}); {people}.{_order(read)}"
    why = REASONS.get(read["reason"] or "", "unknown")
    return f"Not shown: {judge} {finding} ({basis}), but {why}.{_order(read)}"


def _order(read: Mapping[str, Any]) -> str:
    pairs = read["pairs"]
    if not pairs or not pairs["flips"]:
        return ""
    flips = f"{pairs['flips']:,} of {pairs['n']:,} pairs"
    return (
        f" Shown the same two answers in the other order it changed its mind on {flips},"
        f" {pairs['flips_to_first']:,} times for the one shown first."
    )
