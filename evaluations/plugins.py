"""How providers, scorers, readers and exporters are found: one registry for built-ins and plugins alike.

Public surface: ``Registry``. A plugin is a value that satisfies the Protocol of its kind and carries ``key`` and
``version``; both are stored on every row that it produced.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar


class Plugin(Protocol):
    """What every kind of plugin shares."""

    key: str  # stable name used in files, the database and the API
    version: str  # changes whenever results may change


P = TypeVar("P", bound=Plugin)


class PluginError(LookupError):
    """An unknown key, or two plugins that claim the same one."""


class Registry(Generic[P]):
    """Plugins of one kind by key: the built-ins first, then the installed distributions' entry points.

    ``PILOTS_PLUGINS`` (comma separated distribution names) limits which distributions are loaded; unset means all.
    """

    def __init__(self, group: str, builtins: Iterable[P]) -> None:
        self.group = group
        self._builtins = tuple(builtins)

    @cached_property
    def _by_key(self) -> Mapping[str, P]:
        found: dict[str, P] = {}
        for plugin in (*self._builtins, *self._installed()):
            if plugin.key in found:
                raise PluginError(f"two {self.group} plugins are called {plugin.key!r}")
            found[plugin.key] = plugin
        return found

    def _installed(self) -> Iterator[P]:
        allowed = os.environ.get("PILOTS_PLUGINS")
        names = None if allowed is None else {_canonical(name) for name in allowed.split(",")}
        for entry_point in entry_points(group=self.group):
            if names is None or (entry_point.dist is not None and _canonical(entry_point.dist.name) in names):
                loaded = entry_point.load()
                yield loaded() if isinstance(loaded, type) else loaded

    def get(self, key: str) -> P:
        """The plugin called ``key``; raises ``PluginError`` naming the known ones."""
        try:
            return self._by_key[key]
        except KeyError:
            raise PluginError(f"unknown {self.group} {key!r} (known: {', '.join(sorted(self._by_key))})") from None

    def keys(self) -> list[str]:
        return list(self._by_key)

    def __iter__(self) -> Iterator[P]:
        return iter(self._by_key.values())


def _canonical(distribution: str) -> str:
    """One spelling of a distribution's name (packaging.python.org, "Name normalization")."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()
