"""A gateway that speaks OpenAI's dialect at an address of its own."""

from dataclasses import replace

from evaluations.providers.openai_chat import OpenAIChat


class HouseChat(OpenAIChat):
    key, version = "house_chat", "1"

    def prepare(self, request, endpoint):
        return replace(super().prepare(request, endpoint), url=f"{endpoint.base_url.rstrip('/')}/talk")
