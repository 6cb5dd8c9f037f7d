"""Every export by key: the built-ins and the installed plugins. Public surface: ``EXPORTERS``."""

from __future__ import annotations

from evaluations.plugins import Registry
from pilots.exporters.base import Exporter
from pilots.exporters.claims import ClaimsExporter
from pilots.exporters.completions import CompletionsExporter
from pilots.exporters.evidence import EvidenceExporter
from pilots.exporters.pilot import PilotExporter
from pilots.exporters.portfolio import PortfolioExporter
from pilots.exporters.retention import RetentionExporter

EXPORTERS: Registry[Exporter] = Registry(
    "pilots.exporters",
    (
        PortfolioExporter(),
        RetentionExporter(),
        PilotExporter(),
        EvidenceExporter(),
        ClaimsExporter(),
        CompletionsExporter(),
    ),
)
