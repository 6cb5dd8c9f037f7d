"""What ends the process that touches it, for tests of workers. Public surface: ``install``.

``PILOTS_TEST_POISON=call:TEXT`` kills whoever has an answer to a request with that text in hands,
``PILOTS_TEST_POISON=score:TEXT`` whoever scores an answer to one.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any, Never

from evaluations.providers.base import CompletionRequest, CompletionResult, EndpointConfig, Transport
from evaluations.providers.openai_chat import OpenAIChat
from evaluations.scorers.base import Answer, Score
from evaluations.scorers.exact import Exact


def install(poison: str) -> None:
    """Make the providers and scorers of this process vulnerable."""
    where, _, text = poison.partition(":")
    if where == "call":
        complete = OpenAIChat.complete

        async def fatal(
            self: OpenAIChat, request: CompletionRequest, *, endpoint: EndpointConfig, transport: Transport
        ) -> CompletionResult:
            result = await complete(self, request, endpoint=endpoint, transport=transport)
            if text in json.dumps(request.body):
                _die()
            return result

        OpenAIChat.complete = fatal  # type: ignore[method-assign]
    elif where == "score":
        score = Exact.score

        def deadly(self: Exact, answer: Answer, config: Mapping[str, Any]) -> Score:
            if text in json.dumps(answer.request):
                _die()
            return score(self, answer, config)

        Exact.score = deadly  # type: ignore[method-assign]


def _die() -> Never:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")
