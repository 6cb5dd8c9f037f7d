"""Which addresses outgoing HTTP may reach. Pure rules; ``egress.py`` applies them when it connects.

Public surface: ``EgressPolicy``, ``check_base_url``, ``TransportError``, ``EgressRefused``.

The standard library's ``is_global`` is not used: it lets NAT64, 6to4, multicast and some metadata addresses through.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from evaluations.enums import Outcome

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TransportError(Exception):
    """Everything that is not an HTTP response: ``outcome`` names it, the message is free of credentials."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class EgressRefused(TransportError):
    """The address is not one that this site may call; nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(Outcome.UNREACHABLE, message)


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Cloud metadata services and address forms that hide an IPv4 address: refused whatever the allow-list says.
_ALWAYS_REFUSED = _networks(
    "169.254.169.254/32",  # AWS, Azure, GCP
    "169.254.170.2/32",  # ECS task credentials
    "169.254.170.23/32",  # EKS pod identity
    "168.63.129.16/32",  # Azure host agent
    "100.100.100.200/32",  # Alibaba
    "192.0.0.192/32",  # Oracle
    "fd00:ec2::/32",  # AWS over IPv6
    "fd20:ce::254/128",  # GCP over IPv6
    "64:ff9b::/96",  # NAT64
    "64:ff9b:1::/48",  # NAT64, local use
    "2002::/16",  # 6to4
    "2001::/32",  # Teredo
)
_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
_NOT_PUBLIC = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_PUBLIC_PORTS = frozenset({443, 8443})
_FORBIDDEN_CHARACTERS = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")
_NUMERIC_HOST = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE)
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)


def literal_address(host: str) -> Address | None:
    """The IP address that ``host`` spells (also as ``127.1``, ``0x7f.1`` or ``2130706433``); ``None`` for a name."""
    if _NUMERIC_HOST.fullmatch(host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            raise EgressRefused(f"{host!r} is neither a host name nor an IP address") from None
    if ":" in host:
        try:
            return _unwrap(ipaddress.IPv6Address(host))
        except ValueError:
            raise EgressRefused(f"{host!r} is not an IPv6 address") from None
    return None


def _unwrap(address: Address) -> Address:
    """``::ffff:127.0.0.1`` is judged as ``127.0.0.1``."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_IPV6:
        return False
    return not _within(address, _NOT_PUBLIC)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where calls may go: the public internet over https, and what the operator listed.

    A listed ``host:port`` opens exactly that door, plain http included. A listed network opens its addresses on every
    port, plain http included where the URL spells the address; a name that leads there is called over https. Both are
    reached without the proxy. Metadata addresses stay closed whatever is listed.
    """

    allowed_doors: frozenset[tuple[str, int]] = frozenset()
    allowed_networks: tuple[Network, ...] = ()
    proxy: str | None = None  # URL; where set, the proxy resolves names and must keep its own deny list
    ca_bundle: str | None = None  # path of a PEM file that replaces the system's certificate authorities

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> EgressPolicy:
        """Reads ``PILOTS_EGRESS_ALLOW``, ``PILOTS_EGRESS_PROXY`` and ``PILOTS_CA_BUNDLE``; ``ValueError`` names a bad
        entry."""
        doors: set[tuple[str, int]] = set()
        networks: list[Network] = []
        for entry in env.get("PILOTS_EGRESS_ALLOW", "").replace(",", " ").split():
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                doors.add(_door(entry))
        return cls(
            allowed_doors=frozenset(doors),
            allowed_networks=tuple(networks),
            proxy=env.get("PILOTS_EGRESS_PROXY") or None,
            ca_bundle=env.get("PILOTS_CA_BUNDLE") or None,
        )

    def opens(self, host: str, port: int) -> bool:
        """Whether the operator listed this host and port, or the network of the address that ``host`` spells."""
        if (host.lower(), port) in self.allowed_doors:
            return True
        address = literal_address(host) if self.allowed_networks else None
        return address is not None and _within(address, self.allowed_networks)

    def check_address(self, address: Address, *, host: str, port: int) -> None:
        """Raises ``EgressRefused`` unless ``address`` may be connected to as ``host:port``."""
        address = _unwrap(address)
        if _within(address, _ALWAYS_REFUSED):
            raise EgressRefused(f"{host} is or leads to the metadata or translated address {address}, always refused")
        if not (_is_public(address) or self.opens(host, port) or self.opens(str(address), port)):
            raise EgressRefused(f"{host} leads to the non-public address {address}; {_how_to_permit(host, port)}")

    def check_url(self, url: str) -> None:
        """Raises ``EgressRefused`` for a URL that may not be called; names are judged again when they resolve."""
        if _FORBIDDEN_CHARACTERS.search(url):
            raise EgressRefused("the URL holds a control character, blank, backslash or non-ASCII letter")
        scheme, _, rest = url.partition("://")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        _check_origin(self, scheme.lower(), authority)


@lru_cache(maxsize=1024)
def _origin(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        raise EgressRefused("the URL holds a user name or password")
    try:
        parts = urlsplit(f"{scheme}://{authority}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise EgressRefused("the URL's host or port is not valid") from None
    address = literal_address(host)
    if address is not None:
        host = str(address)
    elif not _HOST_NAME.fullmatch(host):
        raise EgressRefused(f"{host!r} is not a host name")
    if port is None:
        port = 443 if scheme == "https" else 80
    return host, port


@lru_cache(maxsize=1024)
def _check_origin(policy: EgressPolicy, scheme: str, authority: str) -> None:
    if scheme not in ("http", "https"):
        raise EgressRefused(f"the URL's scheme is {scheme!r}; only https is called")
    host, port = _origin(authority, scheme)
    if host.lower() in _METADATA_HOSTS:
        raise EgressRefused(f"{host} is a cloud metadata service, always refused")
    address = literal_address(host)
    if address is not None:
        policy.check_address(address, host=host, port=port)
    if policy.opens(host, port):
        return
    if scheme != "https":
        raise EgressRefused(f"plain http is not called; {_how_to_permit(host, port)}")
    if port not in _PUBLIC_PORTS:
        raise EgressRefused(f"port {port} is not called; {_how_to_permit(host, port)}")
    if address is None and (
        host.lower() == "localhost" or host.lower().endswith((".localhost", ".internal", ".local"))
    ):
        raise EgressRefused(f"{host} is not a public name; {_how_to_permit(host, port)}")


def _how_to_permit(host: str, port: int) -> str:
    return f"list {host}:{port} in PILOTS_EGRESS_ALLOW to permit it"


def _door(entry: str) -> tuple[str, int]:
    try:
        if not re.fullmatch(r"[^/?#]+:\d+", entry):
            raise EgressRefused("a port is missing")
        host, port = _origin(entry, "https")
    except EgressRefused as error:
        raise ValueError(f"PILOTS_EGRESS_ALLOW: {entry!r} is neither host:port nor a network ({error})") from None
    return host.lower(), port


def check_base_url(url: str, policy: EgressPolicy) -> None:
    """Judge an endpoint's base URL when it is saved; ``EgressRefused`` says in one sentence what is wrong with it."""
    if "?" in url or "#" in url:
        raise EgressRefused("a base URL has no query and no fragment")
    policy.check_url(url)
