"""Where the API begins, and where nothing is."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import reverse
from rest_framework.request import Request

from pilots.api.base import ApiView, operation

_RESOURCES = (
    "vendors",
    "models",
    "endpoints",
    "prices",
    "teams",
    "workloads",
    "sample-sets",
    "pilots",
    "runs",
    "traffic",
    "claims",
    "exports",
    "schema",
)


class Root(ApiView):
    """What there is, for whoever looks with a browser or curl."""

    @operation("read_root", "List the resources", answers=dict[str, str])
    def get(self, request: Request) -> dict[str, str]:
        address = {name: request.build_absolute_uri(reverse(f"pilots:api:{name}")) for name in _RESOURCES}
        address["replay-runs"] = address.pop("runs")
        return address | {"docs": request.build_absolute_uri(reverse("pilots:api-docs"))}


class Nowhere(ApiView):
    """A problem document for whatever address nobody answers."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise Http404
