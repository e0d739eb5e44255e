"""Sentences of a passage: exact places, markdown seen through, nothing of code."""

from hypothesis import example, given
from hypothesis import strategies as st

from rag.sentences import sentences

PASSAGE = """## Scaling replicas

A deployment adds replicas, e.g. when load grows. Each one
takes 0.5 CPUs. Why so few?

The options are:

- `min_replicas` is the least number of replicas.
- Set **max_replicas** to 8! It bounds the cost.
1. Not this

```python
serve.run(app)  # never quoted.
```

| field | default |
| --- | --- |
| min_replicas | 1 |

Use the command::

    serve deploy app.yaml

> Version 2.60.0 of Ray is needed.
"""


def found(text: str) -> list[tuple[str, str]]:
    return [(" ".join(text[s.start : s.end].split()), s.kind) for s in sentences(text)]


def test_a_documentation_passage() -> None:
    assert found(PASSAGE) == [
        ("Scaling replicas", "heading"),
        ("A deployment adds replicas, e.g. when load grows.", "prose"),
        ("Each one takes 0.5 CPUs.", "prose"),
        ("Why so few?", "question"),
        ("The options are:", "intro"),
        ("`min_replicas` is the least number of replicas.", "prose"),
        ("Set **max_replicas** to 8!", "prose"),
        ("It bounds the cost.", "prose"),
        ("Not this", "fragment"),
        ("| field | default |", "row"),
        ("| min_replicas | 1 |", "row"),
        ("Use the command::", "intro"),
        ("Version 2.60.0 of Ray is needed.", "prose"),
    ]


def test_restructured_text() -> None:
    text = "Scaling\n-------\n\n.. note:: x\n\nThe controller decides it. See :ref:`here`.\n"
    assert found(text)[:2] == [("Scaling", "heading"), ("The controller decides it.", "prose")]


def test_a_sentence_too_long_to_quote() -> None:
    assert found("word " * 70 + "end.")[0][1] == "long"


def test_an_unclosed_fence_hides_the_rest() -> None:
    assert found("Before it all is well.\n\n```\ncode here. More code here.\n") == [("Before it all is well.", "prose")]


@given(st.lists(st.sampled_from([*"aB .!?\n#-|`~>:=1*", "```", "e.g. ", "\n\n", "Word word. "]), max_size=60))
@example([">", "\n", "a"])
def test_spans_are_ordered_and_never_blank(parts: list[str]) -> None:
    text = "".join(parts)
    at = 0
    for span in sentences(text):
        assert at <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == text[span.start : span.end].strip()
        at = span.end
