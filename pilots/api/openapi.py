"""The API's description of itself: the OpenAPI document. The page to read and try it is ``views.programs.docs``."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from rest_framework.request import Request

from pilots.api.base import ApiView, operation
from pilots.api.describe import components

VERSION = "1.0.0"
_ABOUT = (
    "Everything that the pages show and do. Identify yourself with a token (Authorization: Bearer) that you make under"
    " API tokens, or with the session of a signed-in browser. Lists come in pages: follow next. Errors are problem"
    " documents (RFC 9457) with the request's id. What belongs to another team does not exist for you."
)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, without the address at which this site has the API."""
    from pilots.api.urls import described

    settings = {
        "TITLE": "Model Switch Pilots",
        "VERSION": VERSION,
        "DESCRIPTION": _ABOUT,
        "OAS_VERSION": "3.1.0",
        "APPEND_COMPONENTS": {"schemas": components()},
        "SCHEMA_PATH_PREFIX": "",
        "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
        "PREPROCESSING_HOOKS": [],
        "POSTPROCESSING_HOOKS": [],
        "TAGS": [],
        "SERVERS": [],
        "SECURITY": [],
        "AUTHENTICATION_WHITELIST": None,
    }
    with patched_settings(settings):
        generator: Any = SchemaGenerator(patterns=described)  # type: ignore[no-untyped-call]
        found: dict[str, Any] = generator.get_schema(request=None, public=True)
    for operations in found["paths"].values():
        for method in operations.values():
            _say_if_required(method.get("requestBody", {}), found["components"]["schemas"])
    return found


def _say_if_required(body: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A body is required where its type requires a key; samples always are."""
    for content in body.get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        body["required"] = bool(schemas[name].get("required")) if name else True


class OpenApi(ApiView):
    @operation("read_openapi", "Read this document", answers=dict[str, Any])
    def get(self, request: Request) -> dict[str, Any]:
        root = reverse("pilots:api:root")
        return {**document(), "servers": [{"url": request.build_absolute_uri(root).rstrip("/")}]}
