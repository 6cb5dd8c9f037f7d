"""Pure statistics, no Django in this room. Public surface: ``compute`` and ``StatisticsError`` for JSON callers.

The product calls the typed functions of the modules: ``paired``, ``sequential``, ``noninferiority``, ``survival``, ...
"""

from evaluations.statistics.compute import compute
from evaluations.statistics.results import StatisticsError

__all__ = ["StatisticsError", "compute"]
