"""The scorers this installation knows, built in and installed. Public surface: ``SCORERS``."""

from __future__ import annotations

from evaluations.plugins import Registry
from evaluations.scorers.base import Scorer
from evaluations.scorers.exact import Contains, Exact
from evaluations.scorers.json_field import JsonField
from evaluations.scorers.json_schema import JsonSchema
from evaluations.scorers.language import Language
from evaluations.scorers.length import Length
from evaluations.scorers.numeric import Numeric
from evaluations.scorers.overlap import ChrF, RougeL
from evaluations.scorers.refusal import Refusal
from evaluations.scorers.regex import Regex
from evaluations.scorers.tool_calls import ToolCall

SCORERS: Registry[Scorer] = Registry(
    "evaluations.scorers",
    (
        *(Exact(), Contains(), Numeric(), JsonField(), Regex(), JsonSchema(), ToolCall()),
        *(Language(), Length(), Refusal(), RougeL(), ChrF()),
    ),
)
