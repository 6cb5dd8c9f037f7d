"""Third-party assets that the pages need, copied into the wheel from the installed packages that carry them."""

from __future__ import annotations

import re
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The bundled site serves the same files under the same names by STATICFILES_DIRS (config/settings.py).
SWAGGER = "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"
ASSETS = {
    "django-htmx": ("django_htmx/static/django_htmx/htmx-2.min.js",),
    "drf-spectacular-sidecar": (
        f"{SWAGGER}/swagger-ui-bundle.js",
        f"{SWAGGER}/swagger-ui-bundle.js.LICENSE.txt",
        f"{SWAGGER}/swagger-ui.css",
    ),
}
# A reference to a file that stays behind would fail a host's collectstatic.
SOURCE_MAP = re.compile(r"(?://|/\*)# sourceMappingURL=\S+?\.map(?:\s*\*/)?\s*$")


class CopyAssets(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="assets-"))
        for package, files in ASSETS.items():
            for file in files:
                source = Path(str(distribution(package).locate_file(file)))
                copy = folder / source.name
                copy.write_text(SOURCE_MAP.sub("", source.read_text()))
                build_data["force_include"][str(copy)] = f"pilots/static/pilots/vendor/{source.name}"
