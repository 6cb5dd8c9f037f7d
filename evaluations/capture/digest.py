"""What makes two samples, and two sets, the same. Public surface: ``sample_digest``,
``sample_digests``, ``set_digest``, ``sorted_set_digest``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from hashlib import sha256
from heapq import merge
from itertools import islice
from tempfile import TemporaryFile

import msgspec

from evaluations.capture.base import CapturedSample

_canonical = msgspec.json.Encoder(order="sorted").encode
_HASHED_AT_ONCE = 1_000
_SORTED_AT_ONCE = 50_000
_decoded = msgspec.json.Decoder(str).decode


def _encoded(text: str) -> bytes:
    """One line of a file, whatever the text holds."""
    return msgspec.json.encode(text) + b"\n"


def sample_digest(sample: CapturedSample) -> str:
    """SHA-256 (hex) over the sample's content as canonical JSON: sorted keys, no whitespace, UTF-8, text as captured.

    Covered: request, reference, response text and message, cluster, segments. Not covered, because they do not change
    what is replayed or scored: line, external id, instant, model, usage, latency.
    """
    return sample_digests(sample)[0]


def sample_digests(sample: CapturedSample) -> tuple[str, str | None]:
    """The sample's digest, and the one that it would have without its recorded answer; None: it has none."""
    # Piece by piece: the second digest begins as the first does.
    begun = sha256(
        b'{"cluster":%b,"reference":%b,"request":%b,"response":'
        % (_canonical(sample.cluster), _canonical(sample.reference), _canonical(sample.request))
    )
    end = b',"segments":%b}' % _canonical(sample.segments)
    response = sample.response
    if response is None:
        begun.update(b"null" + end)
        return begun.hexdigest(), None
    unanswered = begun.copy()
    unanswered.update(b"null" + end)
    begun.update(b'{"message":%b,"text":%b}%b' % (_canonical(response.message), _canonical(response.text), end))
    return begun.hexdigest(), unanswered.hexdigest()


def sorted_set_digest(lines: Iterable[str]) -> str:
    """SHA-256 (hex) over the members' ids and digests, one a line, which come in the order of their code points: a set
    has no order, so neither has its digest.
    """
    hashed, end = sha256(), b""
    unread = iter(lines)
    while part := list(islice(unread, _HASHED_AT_ONCE)):
        hashed.update(end + "\n".join(part).encode())
        end = b"\n"
    return hashed.hexdigest()


def set_digest(lines: Iterable[str]) -> str:
    """The same for lines in any order. Many are sorted part by part on disk."""
    with ExitStack() as files:
        parts = []
        unsorted = iter(lines)
        while part := sorted(islice(unsorted, _SORTED_AT_ONCE)):
            file = files.enter_context(TemporaryFile())
            file.writelines(map(_encoded, part))
            file.seek(0)
            parts.append(map(_decoded, file))
        return sorted_set_digest(merge(*parts))
