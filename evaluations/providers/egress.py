"""The one door for outgoing HTTP: total deadline, byte cap, address check when connecting, no redirects.

Public surface: ``Egress`` (the ``Transport`` of ``base.py``) and, from ``egress_policy``, ``EgressPolicy``,
``TransportError``, ``EgressRefused`` and ``check_base_url``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client import _RequestContextManager
from yarl import URL

from evaluations.enums import Outcome
from evaluations.providers.base import WireRequest, WireResponse
from evaluations.providers.egress_policy import EgressPolicy, EgressRefused, TransportError, check_base_url

__all__ = ["Egress", "EgressPolicy", "EgressRefused", "TransportError", "check_base_url"]

MAX_BODY_BYTES = 8 * 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
_USER_AGENT = "model-switch-pilots"
_ROUTES = 1000  # remembered; a dialect may put the model into the URL


class _CheckedResolver(AbstractResolver):
    """Resolves a name and refuses it when *any* of its addresses is refused; aiohttp connects to what is returned,
    so a name that changes between check and connect gains nothing."""

    def __init__(self, policy: EgressPolicy, proxy_host: str | None) -> None:
        self._policy = policy
        self._proxy_host = proxy_host

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results = []
        for kind, _, protocol, _, address in found:
            text = str(address[0])
            if host != self._proxy_host:
                self._policy.check_address(ipaddress.ip_address(text.partition("%")[0]), host=host, port=port)
            results.append(
                ResolveResult(
                    hostname=host, host=text, port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is held open."""


@lru_cache(maxsize=8)
def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    """Reading the certificate authorities takes tens of milliseconds; every pool of a process shares them."""
    return ssl.create_default_context(cafile=ca_bundle)


class Egress:
    """One connection pool. Use as an async context manager, inside the event loop that makes the calls.

    ``limit`` and ``limit_per_host`` bound open connections; 0 means unbounded, because the caller bounds its calls.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        limit: int = 0,
        limit_per_host: int = 0,
        max_body_bytes: int = MAX_BODY_BYTES,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
    ) -> None:
        self._policy = policy
        self._limit = limit
        self._limit_per_host = limit_per_host
        self._max_body_bytes = max_body_bytes
        self._connect_timeout_seconds = connect_timeout_seconds
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[str, tuple[URL, str | None]] = {}

    async def __aenter__(self) -> Egress:
        proxy_host = URL(self._policy.proxy).host if self._policy.proxy else None
        connector = aiohttp.TCPConnector(
            limit=self._limit,
            limit_per_host=self._limit_per_host,
            resolver=_CheckedResolver(self._policy, proxy_host),
            ssl=_tls(self._policy.ca_bundle),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_seconds),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: WireRequest, *, deadline_seconds: float) -> WireResponse:
        with _as_transport_errors(deadline_seconds, self._connect_timeout_seconds):
            async with asyncio.timeout(deadline_seconds), self._request(request) as answer:
                response = _Response(answer, self._max_body_bytes)
                return WireResponse(status=response.status, headers=response.headers, body=await response.read())

    @asynccontextmanager
    async def stream(self, request: WireRequest, *, deadline_seconds: float) -> AsyncIterator[_Response]:
        with _as_transport_errors(deadline_seconds, self._connect_timeout_seconds):
            async with asyncio.timeout(deadline_seconds), self._request(request) as answer:
                yield _Response(answer, self._max_body_bytes)

    def _request(self, request: WireRequest) -> _RequestContextManager:
        if self._session is None:
            raise RuntimeError("Egress is used outside its 'async with' block")
        url, proxy = self._routes.get(request.url) or self._route(request.url)
        return self._session.request(
            request.method, url, headers=request.headers, data=request.body, allow_redirects=False, proxy=proxy
        )

    def _route(self, address: str) -> tuple[URL, str | None]:
        """What to call, and through which proxy; every call of an endpoint asks the same."""
        self._policy.check_url(address)
        url = URL(address, encoded=True)
        direct = self._policy.opens(url.host or "", url.port or 0)
        if len(self._routes) > _ROUTES:
            self._routes.clear()
        self._routes[address] = url, None if direct else self._policy.proxy
        return self._routes[address]


class _Response:
    """One response being read; never holds more than the cap."""

    def __init__(self, response: aiohttp.ClientResponse, max_body_bytes: int) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._max_body_bytes = max_body_bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        """The decoded body, piece by piece; ``too_large`` as soon as it passes the cap."""
        self._length()
        decoder = _decoder(self.headers.get("content-encoding", "identity"))
        left = self._max_body_bytes
        async for raw in self._response.content.iter_any():
            chunk = raw if decoder is None else decoder.decompress(raw, left + 1)
            left -= len(chunk)
            if left < 0:
                raise self._too_large()
            yield chunk

    async def read(self) -> bytes:
        if self._length() is not None and "content-encoding" not in self.headers:
            return await self._response.read()
        return b"".join([chunk async for chunk in self.chunks()])

    def _length(self) -> int | None:
        """As the response declares it; ``too_large`` where that is beyond the cap."""
        declared = self._response.content_length
        if declared is not None and declared > self._max_body_bytes:
            raise self._too_large()
        return declared

    def _too_large(self) -> TransportError:
        return TransportError(Outcome.TOO_LARGE, f"the response is larger than {self._max_body_bytes} bytes")


def _decoder(encoding: str) -> zlib._Decompress | None:
    """We ask for identity; a server that compresses all the same is read with a bounded decompressor."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        case _:
            raise TransportError(Outcome.BAD_RESPONSE, "the response has a content encoding that was not asked for")


@contextmanager
def _as_transport_errors(deadline_seconds: float, connect_timeout_seconds: float) -> Iterator[None]:
    try:
        yield
    except TransportError:
        raise
    except aiohttp.ConnectionTimeoutError:
        raise TransportError(Outcome.UNREACHABLE, f"no connection within {connect_timeout_seconds:g} s") from None
    except TimeoutError:
        raise TransportError(Outcome.TIMEOUT, f"no complete answer within {deadline_seconds:g} s") from None
    except (aiohttp.ClientPayloadError, zlib.error):
        raise TransportError(Outcome.BAD_RESPONSE, "the response body is cut or damaged") from None
    except aiohttp.ClientConnectorDNSError as error:
        raise TransportError(Outcome.UNREACHABLE, f"the host name {error.host} does not resolve") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise TransportError(Outcome.UNREACHABLE, f"the certificate of {error.host} is not trusted") from None
    except aiohttp.ClientConnectorError as error:
        reason = error.os_error.strerror or type(error.os_error).__name__
        raise TransportError(Outcome.UNREACHABLE, f"no connection to {error.host}:{error.port}: {reason}") from None
    except aiohttp.ClientResponseError as error:
        raise TransportError(Outcome.BAD_RESPONSE, f"not readable as HTTP: {type(error).__name__}") from None
    except aiohttp.ClientConnectionError as error:
        raise TransportError(Outcome.UNREACHABLE, f"the connection broke: {type(error).__name__}") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise TransportError(
            Outcome.HARNESS_ERROR, f"the request could not be written: {type(error).__name__}"
        ) from None
