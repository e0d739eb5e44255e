"""Passages: exact spans, everything covered, nothing over the limit, headings followed."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.chunk import ChunkConfig, chunk, embedded_prefix, embedded_text, whole_sections
from rag.embed import SentenceEmbedder
from rag.outline import Block, Section, sections
from rag.outline_code import code_sections
from rag.types import Document, Passage

PAGE = """Preamble before any heading.

# Autoscaling

How Raglan grows and shrinks.

## Scale up

The controller adds a replica.

```yaml
# not a heading

max_replicas: 4
```

| field | default |
| --- | --- |
| min_replicas | 1 |

### `target_ongoing_requests`

Two by default.

## Scale up

A second section of the same name.
"""


def count(text: str) -> int:
    """A stand-in tokenizer: a token a word, and two special ones."""
    return len(re.findall(r"\w+|[^\w\s]", text)) + 2


def check(document: Document, passages: list[Passage], limit: int, count_tokens: object = count) -> None:
    at = 0
    for n, passage in enumerate(passages):
        assert passage.id == f"{document.id}:{n}"
        assert passage.text == document.text[passage.start : passage.end]
        assert not document.text[at : passage.start].strip()
        assert passage.text.strip()
        assert callable(count_tokens)
        assert count_tokens(embedded_text(passage)) <= limit
        at = passage.end
    assert not document.text[at:].strip()


def test_sections_follow_headings() -> None:
    document = Document("docs/a.md", PAGE, "Autoscaling", "/docs/a", {"k": "v"}, "acme")
    passages = chunk(document, ChunkConfig(), count)
    check(document, passages, 256)
    assert [(p.headings, p.url) for p in passages] == [
        ((), "/docs/a"),
        (("Autoscaling",), "/docs/a#autoscaling"),
        (("Autoscaling", "Scale up"), "/docs/a#scale-up"),
        (("Autoscaling", "Scale up", "target_ongoing_requests"), "/docs/a#target_ongoing_requests"),
        (("Autoscaling", "Scale up"), "/docs/a#scale-up-1"),
    ]
    assert "max_replicas: 4\n```\n\n| field" in passages[2].text
    assert {(p.title, p.tenant, p.metadata["k"]) for p in passages} == {("Autoscaling", "acme", "v")}


def test_restructured_text_headings() -> None:
    text = "=====\nTitle\n=====\n\nIntro.\n\nPart\n----\n\nUse::\n\n    # code\n\n    it\n\nDetail\n~~~~~~\n\nText.\n"
    passages = chunk(Document("a.rst", text, url="u"), ChunkConfig(), count)
    assert [p.headings for p in passages] == [("Title",), ("Title", "Part"), ("Title", "Part", "Detail")]
    check(Document("a.rst", text), passages, 256)


def test_a_bare_heading_joins_what_follows() -> None:
    text = "# One\n\n## Two\n\nText.\n"
    [passage] = chunk(Document("a", text), ChunkConfig(), count)
    assert passage.headings == ("One", "Two")
    assert passage.text == text.strip()


def test_anchors_are_githubs() -> None:
    found = [section.anchor for section in sections("# Foo\n\n# Foo\n\n# Foo 1\n\n# Foo-2\n\n# foo\n")]
    assert found == ["foo", "foo-1", "foo-1-1", "foo-2", "foo-3"]


UNDERLINES = "=-~^\"'`#*+.:_"
DEEP = "".join(f"A level, {mark}\n{mark * 12}\n\nx.\n\n" for mark in UNDERLINES)
SUBS = "".join(f"## Sub {n}\n\nx.\n\n" for n in range(300))
HOSTILE = {
    "one long heading": f"# {'word ' * 2_000}\n\n{SUBS}",
    "one long word": f"# {'x' * 20_000}\n\n{SUBS}",
    "many levels": DEEP + "".join(f"A level {n}, _\n{'_' * 12}\n\nx.\n\n" for n in range(300)),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("title", ["", "! " * 150])
def test_headings_are_not_counted_again_for_each_section(name: str, title: str) -> None:
    text, counted = HOSTILE[name], 0

    def counting(part: str) -> int:
        nonlocal counted
        counted += len(part)
        return count(part)

    passages = chunk(Document("a", text, title, "/a"), ChunkConfig(), counting)
    check(Document("a", text, title, "/a"), passages, 256)
    assert counted < 20 * len(text)
    assert sum(len(embedded_text(p)) + len(p.url) for p in passages) < 20 * len(text)


def test_a_path_keeps_what_fits_of_it() -> None:
    text = "# One\n\n## Two two\n\n### Three\n\nText.\n"
    for limit, title, kept in ((40, "One", 3), (40, "! " * 12, 2), (40, "! " * 15, 1), (40, "", 3), (40, "! " * 40, 0)):
        *_, passage = chunk(Document("a", text, title), ChunkConfig(max_tokens=limit), count)
        assert len(passage.headings) == kept
        assert count(embedded_prefix(passage)) <= limit // 2


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["--a() {\n" * 60_000, "a:" * 200_000, f" {'x' * 8_000_000}\n\n" + "  y\n\n" * 100_000],
    ids=["shell", "c", "indented"],
)
def test_no_code_takes_time_that_grows_faster_than_it(text: str) -> None:
    """Where it did, this would take minutes."""
    found = code_sections(text)
    assert sum(len(section.blocks) for section in found) <= len(text.split())


@pytest.mark.timeout(60)
def test_many_bare_headings() -> None:
    """Each copied all those before it, which took minutes."""
    block = Block(0, 1)
    found = list(whole_sections([Section(("a",), "a", [block]) for _ in range(300_000)]))
    assert [len(section.blocks) for section in found] == [300_000]


def test_code_breaks_at_lines_and_prose_at_sentences() -> None:
    code = "```\n" + "\n".join(f"call(argument_{n}, {n})" for n in range(40)) + "\n```"
    prose = " ".join(f"Sentence number {n} says something about replicas." for n in range(40))
    document = Document("a", f"{code}\n\n{prose}\n")
    passages = chunk(document, ChunkConfig(max_tokens=64), count)
    check(document, passages, 64)
    assert all(p.text.endswith((")", ".", "```")) for p in passages)
    assert len(passages) < 20


def test_the_limit_holds_for_the_models_own_tokens(embedder: SentenceEmbedder) -> None:
    words = " ".join(f"`max_ongoing_requests_{n}` häufig 自動スケーリング 🚀." for n in range(300))
    document = Document("a", f"# {'Long title ' * 60}\n\n{words}\n\n{'x' * 9000}\n", "T" * 4000)
    passages = chunk(document, ChunkConfig(), embedder.count_tokens)
    check(document, passages, 256, embedder.count_tokens)
    assert max(len(p.text) for p in passages) < 256 * 12 + 1


def test_prefix_leaves_out_what_the_text_opens_with() -> None:
    opening = Passage("a:0", "a", "## Scale up\n\nText.", "Guide", headings=("Guide", "Scale up"))
    assert embedded_prefix(opening) == "Guide\n"
    assert embedded_text(opening).startswith("Guide\n## Scale up")
    assert embedded_prefix(Passage("a:1", "a", "More.", "Guide", headings=("Scale up",))) == "Guide > Scale up\n"
    assert embedded_prefix(Passage("a:2", "a", "More.")) == ""


@pytest.mark.parametrize("text", ["", " \n\t\n "])
def test_blank_text_gives_no_passages(text: str) -> None:
    assert chunk(Document("a", text), ChunkConfig(), count) == []


MARKUP = """# A
## B b
### `c`
===
---
~~~
```
```py
| a | b |
- item
    code

::
def f(x):
    def g():
class A:
@deco
int f(int a) {
[table]
// note""".splitlines()
LINE = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r"), max_size=60),
    st.sampled_from(MARKUP),
    st.integers(1, 80).map(lambda n: "word, and. " * n),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(LINE, max_size=30), title=st.text(max_size=80), limit=st.integers(32, 120))
def test_any_text_is_covered_exactly_within_the_limit(lines: list[str], title: str, limit: int) -> None:
    for name in ("d", "d.py", "d.c"):
        document = Document(name, "\n".join(lines), title, "/d")
        check(document, chunk(document, ChunkConfig(max_tokens=limit), count), limit)
