import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import Overloaded, PromptTooLong, RaglanError, StageFailed, StageUnavailable
from rag.fakes import FakeLLM
from rag.generate import Generation
from rag.types import Message, Piece, Prompt, Usage

PROMPT = Prompt("quote", (Message("user", "How?"),), max_tokens=20, request_id="r")
LOST = StageUnavailable("llm")


@dataclass
class Scripted:
    """Plays one script after the other: a Piece is sent, an error raised, a number waited for."""

    scripts: list[Sequence[Piece | RaglanError | float]]
    prompts: list[Prompt] = field(default_factory=list)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        self.prompts.append(prompt)
        for step in self.scripts.pop(0):
            if isinstance(step, Piece):
                yield step
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                raise step


def piece(text: str, asked: int, made: int) -> Piece:
    return Piece(text, usage=Usage(asked, made))


def generation(llm: FakeLLM | Scripted, prompt: Prompt = PROMPT, wait_s: float = 5.0) -> Generation:
    return Generation(llm, prompt, wait_s)


async def run(made: Generation) -> list[Piece]:
    return [p async for p in made.pieces()]


async def test_an_undisturbed_answer_is_asked_for_once() -> None:
    llm = FakeLLM()
    made = generation(llm)
    pieces = await run(made)
    assert "".join(p.text for p in pieces) == llm.reply
    assert (llm.prompts, made.resumed_at) == ([PROMPT], None)


@given(reply=st.text("ab .\n", max_size=60), cut=st.integers(0, 12))
def test_a_lost_engine_leaves_neither_gap_nor_repeat_and_each_token_counts_once(reply: str, cut: int) -> None:
    whole = asyncio.run(run(generation(FakeLLM(reply))))
    llm = FakeLLM(reply, [StageUnavailable("llm")], die_after=cut)
    made = generation(llm)
    pieces = asyncio.run(run(made))
    assert "".join(p.text for p in pieces) == reply
    assert (pieces[-1].finish_reason, pieces[-1].usage) == ("stop", whole[-1].usage)
    assert len(llm.prompts) == (1 if llm.errors else 2)


async def test_the_second_engine_is_told_how_the_answer_begins_and_what_it_may_still_use() -> None:
    llm = Scripted([[piece("One", 5, 1), piece(" two", 5, 2), LOST], [Piece(" three", "stop", Usage(7, 1))]])
    made = generation(llm)
    pieces = await run(made)
    assert llm.prompts[1] == replace(PROMPT, begun="One two", max_tokens=18, request_id="r-2")
    assert pieces[-1].usage == Usage(5, 3)
    assert made.resumed_at == 7


async def test_an_engine_that_stops_without_saying_why_is_lost() -> None:
    llm = Scripted([[piece("One", 5, 1)], [Piece(" two", "stop", Usage(6, 1))]])
    assert "".join(p.text for p in await run(generation(llm))) == "One two"


async def test_an_engine_lost_after_its_last_piece_is_not_missed() -> None:
    llm = Scripted([[Piece("One", "stop", Usage(5, 1)), LOST]])
    made = generation(llm)
    assert [p.text for p in await run(made)] == ["One"]
    assert made.resumed_at is None


async def test_nothing_is_left_to_write_when_all_tokens_are_used() -> None:
    llm = Scripted([[piece("One", 5, 20), LOST]])
    pieces = await run(generation(llm))
    assert pieces[-1] == Piece(finish_reason="length", usage=Usage(5, 20))
    assert len(llm.prompts) == 1


@pytest.mark.parametrize(
    ("second", "raised"),
    [
        ([LOST], StageUnavailable),
        ([piece(" two", 6, 1), LOST], StageUnavailable),
        ([PromptTooLong("too long", "messages")], StageUnavailable),
        ([60.0], StageUnavailable),
        ([Overloaded("llm")], Overloaded),
        ([piece(" two", 6, 1), StageFailed("llm")], StageFailed),
    ],
)
async def test_there_is_no_third_engine(second: list[Piece | RaglanError | float], raised: type[RaglanError]) -> None:
    llm = Scripted([[piece("One", 5, 1), LOST], second])
    with pytest.raises(raised) as caught:
        await run(generation(llm, wait_s=0.05))
    assert type(caught.value) is raised
    assert len(llm.prompts) == 2


async def test_only_the_second_engines_first_piece_is_waited_for_so_long() -> None:
    llm = Scripted([[piece("One", 5, 1), LOST], [piece(" two", 6, 1), 0.2, Piece("", "stop", Usage(6, 1))]])
    assert "".join(p.text for p in await run(generation(llm, wait_s=0.1))) == "One two"


async def test_an_answer_by_a_schema_has_no_second_engine_once_it_has_begun() -> None:
    asked = replace(PROMPT, schema='{"type": "object"}')
    llm = Scripted([[piece("{", 5, 1), LOST]])
    with pytest.raises(StageUnavailable, match="JSON schema"):
        await run(generation(llm, asked))
    llm = Scripted([[LOST], [Piece("{}", "stop", Usage(5, 2))]])
    assert [p.text for p in await run(generation(llm, asked))] == ["{}"]


async def test_what_an_engine_refuses_from_the_start_stays_refused() -> None:
    for scripts in ([[PromptTooLong("too long")]], [[LOST], [PromptTooLong("too long")]]):
        with pytest.raises(PromptTooLong):
            await run(generation(Scripted(list(scripts))))
