"""What makes two samples, and two sets, the same. Public surface: ``sample_digest``, ``set_digest``."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from evaluations.capture.base import CapturedSample

_ENCODER = msgspec.json.Encoder(order="sorted")


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
    """SHA-256 (hex) over the members' digests, sorted, one a line: a set has no order, so neither has its digest."""
    return sha256("\n".join(sorted(digests)).encode()).hexdigest()
