"""Third-party assets that the pages need, copied into the wheel from the installed packages that carry them."""

from __future__ import annotations

from importlib.metadata import distribution
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The bundled site serves the same file under the same name by STATICFILES_DIRS (config/settings.py).
HTMX = "django_htmx/static/django_htmx/htmx-2.min.js"


class CopyAssets(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        source = distribution("django-htmx").locate_file(HTMX)
        build_data["force_include"][str(source)] = "pilots/static/pilots/vendor/htmx-2.min.js"
