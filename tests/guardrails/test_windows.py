import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.windows import HEAD, STEP, WIDTH, windows


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
