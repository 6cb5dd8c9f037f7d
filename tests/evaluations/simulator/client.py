"""A plain HTTP client and the routes of every dialect, for the simulator's tests."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

JSON = dict[str, Any]


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[tuple[str | None, str]]:
        """(event name, data) of a stream."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if fields:
                found.append((fields.get("event"), fields["data"]))
        return found

    def data(self) -> list[JSON]:
        return [json.loads(data) for _, data in self.events() if data != "[DONE]"]


def send(url: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Response:
    """One request; ``body`` is sent as JSON, bytes as they are."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, raw, dict(headers or {}))
        response = connection.getresponse()
        return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Route:
    """How one dialect asks the same question."""

    name: str
    path: str
    stream_path: str
    headers: Mapping[str, str]

    def body(self, model: str, system: str, user: str, *, stream: bool = False, tools: bool = False) -> JSON:
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        if self.name == "anthropic":
            body: JSON = {"model": model, "system": system, "max_tokens": 1000}
            body["messages"] = [{"role": "user", "content": [{"type": "text", "text": user}]}]
            body |= {"tools": [{"name": "weather", "input_schema": schema}]} if tools else {}
            return body | ({"stream": True} if stream else {})
        if self.name == "gemini":
            body = {"contents": [{"role": "user", "parts": [{"text": user}]}]}
            body |= {"systemInstruction": {"parts": [{"text": system}]}} if system else {}
            return body | (
                {"tools": [{"functionDeclarations": [{"name": "weather", "parameters": schema}]}]} if tools else {}
            )
        if self.name == "responses":
            body = {"model": model, "instructions": system, "input": [{"role": "user", "content": user}]}
            body |= {"tools": [{"type": "function", "name": "weather", "parameters": schema}]} if tools else {}
            return body | ({"stream": True} if stream else {})
        body = {"model": model, "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]}
        body |= (
            {"tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}]} if tools else {}
        )
        return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})

    def ask(
        self,
        url: str,
        model: str,
        user: str = "Where is my order?",
        *,
        system: str = "Be brief.",
        stream: bool = False,
        tools: bool = False,
        **more: Any,
    ) -> Response:
        path = (self.stream_path if stream else self.path).replace("MODEL", model)
        return send(url, "POST", path, self.body(model, system, user, stream=stream, tools=tools) | more, self.headers)


BEARER = {"Authorization": "Bearer key"}
ROUTES = {
    route.name: route
    for route in (
        Route("chat", "/v1/chat/completions", "/v1/chat/completions", BEARER),
        Route("azure", "/openai/v1/chat/completions", "/openai/v1/chat/completions", {"api-key": "key"}),
        Route(
            "azure_deployment",
            "/openai/deployments/MODEL/chat/completions?api-version=2024-10-21",
            "/openai/deployments/MODEL/chat/completions?api-version=2024-10-21",
            {"api-key": "key"},
        ),
        Route("mai", "/mai/v1/chat/completions", "/mai/v1/chat/completions", {"api-key": "key"}),
        Route("responses", "/v1/responses", "/v1/responses", BEARER),
        Route("anthropic", "/v1/messages", "/v1/messages", {"x-api-key": "key", "anthropic-version": "2023-06-01"}),
        Route(
            "gemini",
            "/v1beta/models/MODEL:generateContent",
            "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
            {"x-goog-api-key": "key"},
        ),
    )
}


def text_of(route: Route, body: JSON) -> str:
    """The answer's text, read as a client of that vendor would."""
    match route.name:
        case "anthropic":
            return "".join(block["text"] for block in body["content"])
        case "gemini":
            return "".join(part["text"] for part in body["candidates"][0]["content"]["parts"])
        case "responses":
            return "".join(part["text"] for part in body["output"][0]["content"])
        case _:
            return str(body["choices"][0]["message"]["content"])


def streamed_text(route: Route, response: Response) -> str:
    match route.name:
        case "anthropic":
            return "".join(d["delta"]["text"] for d in response.data() if d["type"] == "content_block_delta")
        case "gemini":
            return "".join(text_of(route, d) for d in response.data())
        case "responses":
            return "".join(d["delta"] for d in response.data() if d["type"] == "response.output_text.delta")
        case _:
            return "".join(c["delta"].get("content") or "" for d in response.data() for c in d["choices"])


def counts(route: Route, body: JSON) -> tuple[int, int]:
    """(total input, total output) as this vendor counts them."""
    match route.name:
        case "anthropic":
            usage = body["usage"]
            return usage["input_tokens"] + usage["cache_read_input_tokens"], usage["output_tokens"]
        case "gemini":
            usage = body["usageMetadata"]
            return usage["promptTokenCount"], usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
        case "responses":
            return body["usage"]["input_tokens"], body["usage"]["output_tokens"]
        case _:
            return body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]
