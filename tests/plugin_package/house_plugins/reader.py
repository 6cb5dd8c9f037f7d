"""A log with one question and its answer a line: ``{"asked": ..., "answered": ...}``."""

from evaluations.capture.base import CapturedResponse, CapturedSample
from evaluations.capture.chat import mapping, optional_text
from evaluations.capture.lines import FieldError, first_keys, read_values


class HouseLog:
    key, version, label = "house_log", "1", "House log"

    def recognises(self, head, name):
        return first_keys(head) == {"asked", "answered"}

    def read(self, path, *, requests=None):
        return read_values(path, _sample)


def _sample(line, value):
    row = mapping(value, "")
    asked = optional_text(row.get("asked"), "asked")
    if not asked:
        raise FieldError("asked", "is missing")
    request = {"messages": [{"role": "user", "content": asked}]}
    answer = CapturedResponse(text=optional_text(row.get("answered"), "answered"))
    return CapturedSample(line=line, external_id=None, request=request, response=answer)
