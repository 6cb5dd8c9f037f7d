"""The scorers this installation knows, built in and installed. Public surface: ``SCORERS``."""

from __future__ import annotations

from evaluations.plugins import Registry
from evaluations.scorers.base import Scorer
from evaluations.scorers.exact import Contains, Exact
from evaluations.scorers.json_field import JsonField
from evaluations.scorers.json_schema import JsonSchema
from evaluations.scorers.numeric import Numeric
from evaluations.scorers.regex import Regex

SCORERS: Registry[Scorer] = Registry(
    "evaluations.scorers", (Exact(), Contains(), Numeric(), JsonField(), Regex(), JsonSchema())
)
