import asyncio
import pickle
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.consider import Considered
from rag.fakes import FakeMasker, FakeValidator, fake_stages
from rag.release import MAX_AHEAD, MAX_BEFORE, MAX_SENTENCE, Release, SentenceSettings, by_sentence, release
from rag.types import Hit, Message, Piece, RequestSettings, Usage, Verdict

SETTINGS = RequestSettings(model="quote", prompt="quote@1")


async def stream(parts: Sequence[str]) -> AsyncGenerator[Piece]:
    for part in parts:
        yield Piece(part)
    yield Piece(finish_reason="length", usage=Usage(3, len(parts)))


async def texts(parts: Sequence[str]) -> AsyncGenerator[str]:
    for part in parts:
        yield part


CONSIDERED = Considered((), Verdict(True), "?", (Message("system", "Be kind."), Message("user", "?")))


def released(
    pieces: AsyncGenerator[Piece], settings: RequestSettings = SETTINGS, done: Release | None = None, **roles: Any
) -> AsyncGenerator[str]:
    return release(pieces, fake_stages(**roles), CONSIDERED, settings, done or Release())


async def run(parts: Sequence[str], settings: RequestSettings = SETTINGS, **roles: Any) -> tuple[list[str], Release]:
    done = Release()
    return [text async for text in released(stream(parts), settings, done, **roles)], done


async def test_sentences_leave_whole_and_in_order() -> None:
    out, done = await run(["It sc", "ales. [1, 2] It st", "ops. Now"])
    assert out == ["It scales. [1, 2] ", "It stops. ", "Now"]
    assert done.text == "It scales. [1, 2] It stops. Now"
    assert (done.finish_reason, done.usage) == ("length", Usage(3, 3))
    assert len(done.verdicts) == 4  # the masker's is the last


async def test_a_blocked_sentence_never_leaves_and_ends_the_answer() -> None:
    out, done = await run(["All good. ", "The SECRET is 42. ", "More."])
    assert out == ["All good. ", "[withheld]"]
    assert done.finish_reason == "content_filter"


async def test_without_validation_text_passes_as_it_comes() -> None:
    out, done = await run(["The SEC", "RET"], RequestSettings("quote", "quote@1", validate=False))
    assert (out, done.verdicts) == (["The SEC", "RET"], ())


async def test_a_text_without_end_is_judged_in_bounded_pieces() -> None:
    out, _ = await run(["word "] * MAX_SENTENCE)
    assert max(map(len, out)) <= MAX_SENTENCE + len("word ")


async def test_sentences_are_judged_while_the_next_is_generated() -> None:
    generated = asyncio.Event()

    class Late(FakeValidator):
        async def validate(
            self, sentence: str, hits: Sequence[Hit], question: str, settings: RequestSettings
        ) -> Verdict:
            await asyncio.wait_for(generated.wait(), 5)
            return Verdict(True)

    async def pieces() -> AsyncGenerator[Piece]:
        yield Piece("First one. Second")
        generated.set()
        yield Piece(" one.")

    texts = [text async for text in released(pieces(), validator=Late())]
    assert texts == ["First one. ", "Second one."]


JSON = ['{"a": "One. ', "Two.\n", '"}']


async def test_few_sentences_are_judged_ahead_and_none_once_the_answer_is_closed() -> None:
    judging = 0

    class Slow(FakeValidator):
        async def validate(self, *_: Any) -> Verdict:
            nonlocal judging
            judging += 1
            try:
                await asyncio.sleep(60)
            finally:
                judging -= 1
            raise AssertionError

    steps = released(stream(["One. "] * 40), validator=Slow())
    first = asyncio.ensure_future(anext(steps))
    for _ in range(200):
        await asyncio.sleep(0)
    assert 1 < judging <= MAX_AHEAD + 2
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await steps.aclose()
    for _ in range(5):
        await asyncio.sleep(0)
    assert judging == 0


async def test_an_answer_by_a_schema_streams_and_is_judged_by_it_at_the_end() -> None:
    out, done = await run(JSON, RequestSettings("quote", "quote@1", schema="{}"))
    assert out == ['{"a": "One. ', "Two.\n", '"}']
    assert [[c.name for c in v.checks] for v in done.verdicts] == [[], [], [], ["json_schema"], ["masker"]]


async def test_an_answer_by_a_schema_that_may_be_refused_is_held_until_it_is_judged() -> None:
    out, done = await run(JSON, RequestSettings("quote", "quote@1", schema="{}", hold_json=True))
    assert out == ['{"a": "One. Two.\n"}']
    assert len(done.verdicts) == 2


@pytest.mark.parametrize("masked", ["I am [name]. ", ""])
async def test_a_masked_sentence_leaves_masked(masked: str) -> None:
    class Masking(FakeValidator):
        async def validate(self, sentence: str, *_: Any) -> Verdict:
            return Verdict(True, masked=(masked,) if "ann" in sentence else ())

    out, done = await run(["I am ann. You?"], validator=Masking())
    assert (out, done.text) == ([masked, "You?"], masked + "You?")


async def test_a_sentence_is_judged_with_what_stands_before_it_and_the_callers_orders() -> None:
    seen: list[tuple[str, str]] = []

    class Noting(FakeValidator):
        async def validate(self, *args: Any) -> Verdict:
            settings = pickle.loads(pickle.dumps(args[-1]))
            assert isinstance(settings, SentenceSettings)
            seen.append((settings.before, settings.orders))
            return Verdict(True)

    await run(["One. ", "Two. ", "x" * (MAX_BEFORE + 1), "y"], validator=Noting())
    assert seen == [(before, "Be kind.") for before in ("", "One. ", "One. Two. ", "x" * MAX_BEFORE)]


async def test_a_verdict_is_known_before_its_text_leaves() -> None:
    done = Release()
    steps = released(stream(["One. The SECRET."]), done=done)
    for text, allowed in (("One. ", [True]), ("[withheld]", [True, False])):
        assert await anext(steps) == text
        assert [verdict.allowed for verdict in done.verdicts] == allowed
    await steps.aclose()


async def test_an_error_in_the_stream_comes_out_after_what_was_judged() -> None:
    async def pieces() -> AsyncGenerator[Piece]:
        yield Piece("First one. Second")
        raise ValueError("broken")

    steps = released(pieces())
    assert await anext(steps) == "First one. "
    with pytest.raises(ValueError, match="broken"):
        await anext(steps)


async def test_what_the_masker_holds_back_leaves_at_the_end() -> None:
    class Holding(FakeMasker):
        def feed(self, text: str) -> str:
            return ""

        def flush(self) -> str:
            return "all"

    assert (await run(["x"], masker=Holding))[0] == ["all"]


async def test_what_was_masked_is_told_also_where_the_answer_is_blocked() -> None:
    class Counting(FakeMasker):
        def feed(self, text: str) -> str:
            self.found["card"] = self.found.get("card", 0) + 1
            return text

    for parts, reason in ((["One. ", "Two."], "length"), (["One. ", "The SECRET. ", "More."], "content_filter")):
        _, done = await run(parts, masker=Counting)
        [check] = done.verdicts[-1].checks
        assert done.finish_reason == reason
        assert (check.name, check.action, check.detail) == ("masker", "mask", f"card {check.score:.0f}")


@given(st.lists(st.text(alphabet="ab. \n[1]!?", max_size=12), max_size=12))
def test_cutting_loses_nothing_however_the_text_arrives(parts: list[str]) -> None:
    async def cut() -> list[str]:
        return [s async for s in by_sentence(texts(parts))]

    assert "".join(asyncio.run(cut())) == "".join(parts)
