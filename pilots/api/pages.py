"""Lists in pages by cursor: a page is as cheap as the first, however far it is. Public surface: ``PageQuery``,
``narrowed``, ``page_of``, ``MOST``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from evaluations.services.errors import Refused
from pilots.api.describe import Page

R = TypeVar("R", bound=Model)
T = TypeVar("T")
MOST = 500


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every list can be asked."""

    cursor: Annotated[str, msgspec.Meta(description="From `next` or `previous` of another page.")] = ""
    page_size: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 50


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    key: str  # of the row at the edge of the page
    pk: int
    backwards: bool


def narrowed(rows: QuerySet[R], query: PageQuery, **columns: str) -> QuerySet[R]:
    """``rows`` with the value that the query gives for each of its names, in that name's column; what it leaves out
    narrows nothing."""
    given = {column: getattr(query, name) for name, column in columns.items()}
    return rows.filter(**{column: value for column, value in given.items() if value is not msgspec.UNSET})


def page_of(
    request: Request,
    query: PageQuery,
    rows: QuerySet[R],
    document: Callable[[Sequence[R]], Iterable[T]],
    *,
    order: str = "pk",
    keys_first: bool = False,
) -> Page[T]:
    """One page of ``rows`` by ``order`` (a column that is never null; "-" for descending), then by primary key.

    ``document`` makes the whole page at once, so that it can fetch what belongs to it in a constant number of queries.
    ``keys_first``: of a long list only keys are sorted, and the rows of one page looked up. Raises ``Refused`` for a
    cursor that is not ours.
    """
    name, descending = order.removeprefix("-"), order.startswith("-")
    cursor = _decoded(query.cursor) if query.cursor else None
    backwards = cursor is not None and cursor.backwards
    down = descending != backwards
    if cursor is not None:
        rows = _after(rows, name, cursor, down=down)
    sign = "-" if down else ""
    ordered = rows.order_by(f"{sign}{name}", f"{sign}pk") if name != "pk" else rows.order_by(f"{sign}pk")
    if keys_first:
        ordered = ordered.filter(pk__in=list(ordered.values_list("pk", flat=True)[: query.page_size + 1]))
    found = list(ordered[: query.page_size + 1])
    more, found = len(found) > query.page_size, found[: query.page_size]
    if backwards:
        found.reverse()
    onwards = found and (more if not backwards else True)
    back = found and (more if backwards else cursor is not None)
    return Page(
        next=_address(request, _edge(found[-1], name, backwards=False)) if onwards else None,
        previous=_address(request, _edge(found[0], name, backwards=True)) if back else None,
        results=list(document(found)),
    )


def _after(rows: QuerySet[R], name: str, cursor: _Cursor, *, down: bool) -> QuerySet[R]:
    beyond = "lt" if down else "gt"
    if name == "pk":
        return rows.filter(**{f"pk__{beyond}": cursor.pk})
    column: Any = rows.model._meta.get_field(name)
    try:
        edge: Any = column.to_python(cursor.key)
    except ValidationError:
        raise Refused("is not a cursor of this list", field="cursor") from None
    return rows.filter(Q(**{f"{name}__{beyond}": edge}) | Q(**{name: edge, f"pk__{beyond}": cursor.pk}))


def _edge(row: Model, name: str, *, backwards: bool) -> str:
    key = "" if name == "pk" else row._meta.get_field(name).value_to_string(row)  # type: ignore[union-attr]
    raw = msgspec.json.encode(_Cursor(key, row.pk, backwards))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> _Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=_Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise Refused("is not a cursor of this list", field="cursor") from None
    if "\x00" in cursor.key or not 0 <= cursor.pk < 2**63:
        raise Refused("is not a cursor of this list", field="cursor")
    return cursor


def _address(request: Request, cursor: str) -> str:
    """The same list, elsewhere."""
    given = [(name, text) for name, texts in request.query_params.lists() for text in texts if name != "cursor"]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*given, ('cursor', cursor)])}")
