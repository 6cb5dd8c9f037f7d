"""What makes two samples, and two sets, the same. Public surface: ``sample_digest``, ``set_digest``."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from hashlib import sha256
from heapq import merge
from itertools import islice
from tempfile import TemporaryFile

import msgspec

from evaluations.capture.base import CapturedSample

_ENCODER = msgspec.json.Encoder(order="sorted")
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
    response = sample.response
    content = {
        "cluster": sample.cluster,
        "reference": sample.reference,
        "request": sample.request,
        "response": None if response is None else {"message": response.message, "text": response.text},
        "segments": sample.segments,
    }
    return sha256(_ENCODER.encode(content)).hexdigest()


def set_digest(digests: Iterable[str]) -> str:
    """SHA-256 (hex) over the members' digests, sorted, one a line: a set has no order, so neither has its digest.

    Many are sorted part by part on disk.
    """
    hashed, end = sha256(), b""
    with ExitStack() as files:
        parts = []
        unsorted = iter(digests)
        while part := sorted(islice(unsorted, _SORTED_AT_ONCE)):
            file = files.enter_context(TemporaryFile())
            file.writelines(map(_encoded, part))
            file.seek(0)
            parts.append(map(_decoded, file))
        for digest in merge(*parts):
            hashed.update(end + digest.encode())
            end = b"\n"
    return hashed.hexdigest()
