"""Every template and script, read as text: nothing that a strict content policy forbids or that escaping cannot hold.

Rules: RELIABILITY.md, security checklist, "HTML output", "CSP" and "CSRF".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.urls import URLPattern

from pilots.selectors.jump import _PAGES
from pilots.urls import urlpatterns

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STATIC = ROOT / "pilots" / "static" / "pilots"
ADDRESSES = {"src", "srcset", "poster", "data", "background", "xlink:href"}
# Templates that print an address which did not come from {% url %}, and what makes it harmless.
GIVEN_ADDRESSES = {
    "pilots/mail/notices.html": "an e-mail: made by ``pilots.links`` from a URL name",
    "pilots/_reference.html": "only http and https pass the filter is_link; no referrer, no opener",
    "pilots/_sort_header.html": "a query made by the tag",
    "pilots/attention/_lines.html": "made by ``action_path`` from a URL name",
    "pilots/_empty.html": "made by {% url %} in the including template",
}


@dataclass(frozen=True)
class Tag:
    template: str
    line: int
    name: str
    attributes: dict[str, str]
    source: str  # as written, with each template expression as «number»

    def __str__(self) -> str:
        return f"{self.template}:{self.line}: <{self.name}>"


class Reader(HTMLParser):
    def __init__(self, template: str, expressions: list[str]) -> None:
        super().__init__(convert_charrefs=False)
        self.template, self.expressions = template, expressions
        self.tags: list[Tag] = []
        self.inside: list[str] = []  # what stands inside script and style elements

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: self.whole(value or "") for name, value in attrs if "«" not in name}
        self.tags.append(Tag(self.template, self.getpos()[0], tag, attributes, self.get_starttag_text() or ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem and data.strip():
            self.inside.append(data)

    def whole(self, value: str) -> str:
        return re.sub(r"«(\d+)»", lambda match: self.expressions[int(match[1])], value)


def read(path: Path) -> Reader:
    """Template expressions hold quotes of their own, so that the parser sees only a number for each."""
    expressions: list[str] = []

    def number(match: re.Match[str]) -> str:
        expressions.append(match[0])
        return f"«{len(expressions) - 1}»" + "\n" * match[0].count("\n")

    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", number, path.read_text(), flags=re.DOTALL)
    reader = Reader(path.relative_to(ROOT / "templates").as_posix(), expressions)
    reader.feed(text)
    reader.close()
    return reader


READERS = [read(path) for path in TEMPLATES]


def tags(*names: str) -> Iterator[Tag]:
    return (tag for reader in READERS for tag in reader.tags if not names or tag.name in names)


def test_there_is_something_to_read() -> None:
    assert len(TEMPLATES) > 40
    assert {tag.name for tag in tags()} >= {"script", "link", "form", "a", "svg"}


def test_nothing_switches_escaping_off() -> None:
    pattern = re.compile(r"\|\s*safe(?:seq)?\b|autoescape\s+off|\|\s*(?:striptags|escapejs)\b")
    assert [f"{r.template}: {e}" for r in READERS for e in r.expressions if pattern.search(e)] == []


def test_every_attribute_is_quoted() -> None:
    """A value with a space in it ends an unquoted attribute and begins another."""
    unquoted = re.compile(r"=\s*[^\s\"]")
    assert [str(tag) for tag in tags() if unquoted.search(re.sub(r"\"[^\"]*\"|'[^']*'", '""', tag.source))] == []


def test_scripts_and_styles_are_files() -> None:
    assert [f"{reader.template}: {text[:60]}" for reader in READERS for text in reader.inside] == []
    assert [str(tag) for tag in tags("script") if "src" not in tag.attributes] == []
    assert [str(tag) for tag in tags("style", "iframe", "object", "embed", "base")] == []
    code = [
        (tag, name) for tag in tags() for name in tag.attributes if name == "style" or name.startswith(("on", "hx-on"))
    ]
    assert [f"{tag} {name}" for tag, name in code] == []
    assert [str(tag) for tag in tags() if {"hx-vals", "hx-vars", "hx-ext", "hx-boost"} & set(tag.attributes)] == []


def test_every_asset_is_one_of_ours() -> None:
    loaded = [(tag, tag.attributes[name]) for tag in tags() for name in ADDRESSES & set(tag.attributes)]
    loaded += [(tag, tag.attributes["href"]) for tag in tags("link", "use", "image")]
    assert [f"{tag} {value}" for tag, value in loaded if not value.startswith(("{% static ", "#"))] == []
    assert len(loaded) >= 8


def test_every_address_is_made_by_a_url_name() -> None:
    places = ("href", "action", "formaction", "hx-get", "hx-post", "hx-put", "hx-delete")
    written = [(tag, tag.attributes[name]) for tag in tags() for name in places if name in tag.attributes]
    fine = re.compile(r"\{% (?:url|if|static|query) |[?#]")
    given = [f"{tag.template}" for tag, value in written if not fine.match(value)]
    assert sorted(set(given)) == sorted(GIVEN_ADDRESSES)
    [link] = [tag for tag in tags("a") if tag.template == "pilots/_reference.html"]
    assert link.attributes["rel"] == "noopener noreferrer nofollow"
    assert [str(tag) for tag in tags() if "target" in tag.attributes] == []


def test_every_form_that_changes_something_has_its_token() -> None:
    without = []
    for path in TEMPLATES:
        for form in re.findall(r"<form\b.*?</form>", path.read_text(), re.DOTALL):
            opening = form.partition(">")[0]
            if "method=" not in opening or ("post" in opening and "csrf" not in form):
                without.append(f"{path.name}: {opening}")
    assert without == []
    assert [str(tag) for tag in tags() if {"hx-post", "hx-put", "hx-delete", "hx-patch"} & set(tag.attributes)] == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_scripts_make_no_markup_and_no_code_of_text(path: Path) -> None:
    pattern = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b|https?://"
    assert re.findall(pattern, path.read_text()) == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.css")), ids=lambda path: path.name)
def test_style_sheets_load_only_what_lies_beside_them(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"@import|https?://", text) == []
    loaded = re.findall(r"url\(\s*[\"']?([^\"')]+)", text)
    assert [name for name in loaded if not (STATIC / name).is_file()] == []


def test_every_page_can_be_reached_and_every_link_leads_to_a_page() -> None:
    named = {str(pattern.name) for pattern in urlpatterns if isinstance(pattern, URLPattern)}
    linked = {name for path in TEMPLATES for name in re.findall(r"'pilots:([\w-]+)'", path.read_text())}
    linked |= {key for key, _, _ in _PAGES}  # the jump box
    linked.add("answer-follow-up")  # reached from an e-mail alone
    assert linked - named == set()
    assert named - linked == set()
