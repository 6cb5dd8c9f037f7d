"""Personal data and secrets out of captured samples, for good. Public surface: ``Redactor``, ``RedactionError``.

Every hit is replaced by the name of its kind (``[EMAIL]``); nothing that could bring it back is kept. Names of people
are found only from a dictionary that the user supplies: no pattern can tell a name from a word.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from evaluations.capture.base import CapturedSample
from evaluations.capture.detectors import KINDS, Detector, built_in, of_names, of_patterns
from evaluations.capture.suspicion import may_hold

# Words of the protocol and references between messages, which a replay needs intact.
_STRUCTURE = frozenset({"role", "type", "id", "tool_call_id"})
_NOT_IN_LABELS = re.compile(r"\W+")


class RedactionError(ValueError):
    """A custom pattern did not finish in time: the text counts as not redacted."""


class Redactor:
    """Finds and replaces the chosen kinds in text, JSON values and whole samples."""

    def __init__(
        self,
        kinds: Iterable[str] = KINDS,
        *,
        region: str | None = None,
        names: Iterable[str] = (),
        patterns: Mapping[str, str] | None = None,
        secret: bytes | None = None,
    ) -> None:
        """``region`` (ISO 3166, 'DE') also finds phone numbers without a country code; ``patterns`` maps a name to a
        regular expression; ``secret`` keeps pseudonyms of ids and clusters stable between imports (random if absent).
        """
        self._patterns = of_patterns(patterns or {})
        self._built_in = built_in(kinds, region)
        self._names = of_names(names)
        self._region = region
        self._secret = os.urandom(32) if secret is None else blake2b(secret).digest()[:32]

    def redact_text(self, text: str) -> tuple[str, Counter[str]]:
        counts: Counter[str] = Counter()
        for detector in self._patterns:
            text = _without(detector, text, counts)
        if may_hold(text, self._region):
            for detector in self._built_in:
                text = _without(detector, text, counts)
        for detector in self._names:
            text = _without(detector, text, counts)
        return text, counts

    def redact(self, value: Any) -> tuple[Any, Counter[str]]:
        """A copy of a JSON value with every text in it redacted, and how often each kind was found."""
        counts: Counter[str] = Counter()
        return self._walk(value, counts), counts

    def redact_sample(self, sample: CapturedSample) -> tuple[CapturedSample, Counter[str]]:
        """The sample with contents redacted; an id or cluster that holds personal data becomes a stable pseudonym."""
        counts: Counter[str] = Counter()
        response = sample.response
        if not (self._patterns or self._names or may_hold("\n".join(_texts_of(sample)), self._region)):
            return sample, counts
        if response is not None:
            response = replace(
                response, text=self._walk(response.text, counts), message=self._walk(response.message, counts)
            )
        redacted = replace(
            sample,
            external_id=self._pseudonym(sample.external_id, counts),
            cluster=self._pseudonym(sample.cluster, counts),
            request=self._walk(sample.request, counts),
            reference=self._walk(sample.reference, counts),
            segments=self._walk(sample.segments, counts),
            response=response,
        )
        return redacted, counts

    def _walk(self, value: Any, counts: Counter[str]) -> Any:
        if isinstance(value, str):
            if value.startswith("data:"):  # an inline image or sound is not text
                return value
            text, found = self.redact_text(value)
            counts.update(found)
            return text
        if isinstance(value, Mapping):
            return {key: item if key in _STRUCTURE else self._walk(item, counts) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, counts) for item in value]
        return value

    def _pseudonym(self, text: str | None, counts: Counter[str]) -> str | None:
        if text is None:
            return None
        _, found = self.redact_text(text)
        if not found:
            return text
        counts.update(found)
        return f"redacted-{blake2b(text.encode(), digest_size=12, key=self._secret).hexdigest()}"


def _without(detector: Detector, text: str, counts: Counter[str]) -> str:
    parts: list[str] = []
    end = 0
    try:
        # In the order of the text: a detector that looks twice finds what comes first last.
        for start, stop in sorted(detector.find(text)):
            if start >= end:
                parts += (text[end:start], _label(detector.kind))
                counts[detector.kind] += 1
            end = max(end, stop)
    except TimeoutError:
        raise RedactionError(f"the pattern for {detector.kind!r} takes too long on this text") from None
    return "".join((*parts, text[end:])) if parts else text


def _texts_of(sample: CapturedSample) -> list[str]:
    """Every text that ``redact_sample`` looks at."""
    texts = [text for text in (sample.external_id, sample.cluster) if text is not None]
    _gather(sample.request, texts)
    _gather(sample.reference, texts)
    _gather(sample.segments, texts)
    if sample.response is not None:
        _gather(sample.response.text, texts)
        _gather(sample.response.message, texts)
    return texts


def _gather(value: Any, texts: list[str]) -> None:
    """As ``Redactor._walk`` goes."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            texts.append(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _STRUCTURE:
                _gather(item, texts)
    elif isinstance(value, list):
        for item in value:
            _gather(item, texts)
    elif isinstance(value, Mapping):
        _gather(dict(value), texts)


def _label(kind: str) -> str:
    return f"[{_NOT_IN_LABELS.sub('_', kind).upper()}]"
