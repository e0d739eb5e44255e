import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.windows import HEAD, LONG, LONGER, MARGIN, MOST, STEP, WIDTH, apart, margins, pairs, sentences, windows


@pytest.mark.parametrize("length", [0, 1, HEAD])
def test_a_short_text_is_one_stretch(length: int) -> None:
    assert windows(length) == [(0, length)]


@given(st.integers(HEAD + 1, 70_000), st.data())
def test_every_short_run_lies_within_a_stretch(length: int, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, length - STEP))
    stretches = windows(length)
    assert any(a <= begin and begin + STEP <= b for a, b in stretches)
    assert stretches[0] == (0, HEAD)
    assert all(0 <= a < b <= length and b - a in {HEAD, WIDTH} for a, b in stretches)


def test_sentences_and_pairs_of_neighbours_are_stretches() -> None:
    text = "The first sentence is here. Short one.\nA line without an end\n\n" + "word " * 200
    found = list(sentences(text))
    assert found[:2] == ["The first sentence is here.", "A line without an end"]
    assert "".join(found[2:]) == "word " * 200
    joined, spans = pairs(found[:2])
    assert [joined[a:b] for a, b in spans] == [*found[:2], " ".join(found[:2])]
    assert pairs([]) == ("", [])


def test_a_longer_text_needs_a_surer_stretch_up_to_a_bound() -> None:
    stretch = [(0, WIDTH)]
    by_length = [float(margins(stretch, length)[0]) for length in (WIDTH, 2 * WIDTH, 4 * WIDTH, 10**6, 10**9)]
    assert by_length == [MARGIN, MARGIN + LONGER, MARGIN + 2 * LONGER, MARGIN + MOST, MARGIN + MOST]
    assert margins([(0, LONG)], 10**6)[0] == 0.0
    assert margins([], 0).size == 0


def test_texts_are_weighed_apart_in_one() -> None:
    texts = ["short", "long " * 400]
    joined, spans, margin = apart(texts)
    assert [joined[a:b] for a, b in spans] == [text[a:b] for text in texts for a, b in windows(len(text))]
    assert margin.tolist() == [0.0, *margins(windows(2_000), 2_000)]
