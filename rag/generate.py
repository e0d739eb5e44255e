"""One generation that outlives its engine: when a replica is lost, another goes on from the text that is there, once.

What comes out is one stream without a gap or a repeat. It knows neither Ray nor how an engine is told to go on.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from rag.errors import InvalidInput, StageUnavailable
from rag.stages import LLM
from rag.types import FinishReason, Piece, Prompt, Usage


@dataclass(slots=True)
class Generation:
    """What the engine has made of `prompt`. `wait_s` bounds the time to the second engine's first piece.

    `resumed_at` is the character of `text` at which a second engine went on: 0 when the first said nothing, None
    without a second.
    """

    llm: LLM
    prompt: Prompt
    wait_s: float
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    finish_reason: FinishReason | None = None
    resumed_at: int | None = None

    async def pieces(self) -> AsyncGenerator[Piece]:
        """Stream the answer; its usage counts the tokens of both engines once.

        Raises StageUnavailable when the second engine is lost too or late, or when the answer cannot be continued: one
        that obeys a JSON schema, since the engine's grammar knows only the beginning of a text.
        """
        try:
            async with aclosing(self._follow(self.prompt)) as stream:
                async for piece in stream:
                    yield piece
        except StageUnavailable as error:
            lost = error
        else:
            return
        if self.finish_reason:
            return
        if self.text and self.prompt.schema is not None:
            raise StageUnavailable(
                "llm", "its replica was lost, and an answer by a JSON schema has no second"
            ) from lost
        async with aclosing(self._resume(lost)) as stream:
            async for piece in stream:
                yield piece

    async def _resume(self, lost: StageUnavailable) -> AsyncGenerator[Piece]:
        """Go on with the rest of the prompt's tokens."""
        before = self.usage
        left = self.prompt.max_tokens - before.completion_tokens
        if left <= 0:
            yield Piece(finish_reason="length", usage=before)
            return
        self.resumed_at = len(self.text)
        rest = replace(self.prompt, begun=self.text, max_tokens=left, request_id=f"{self.prompt.request_id}-2")
        try:
            async with aclosing(started_within(self._follow(rest), self.wait_s)) as stream:
                async for piece in stream:
                    yield replace(piece, usage=piece.usage and self._both(before, piece.usage))
        except InvalidInput as refused:
            if not rest.begun:
                raise
            raise StageUnavailable("llm", "its replica was lost, and the answer cannot be continued") from refused
        except TimeoutError:
            raise StageUnavailable("llm", f"no replica could go on within {self.wait_s:g} s") from lost

    async def _follow(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """One engine's pieces, noted. Raises StageUnavailable for a stream that ends without saying why."""
        async with aclosing(self.llm.generate(prompt)) as stream:
            async for piece in stream:
                self.text += piece.text
                self.usage = piece.usage or self.usage
                self.finish_reason = piece.finish_reason or self.finish_reason
                yield piece
        if not self.finish_reason:
            raise StageUnavailable("llm", "the engine stopped in the middle of its answer")

    def _both(self, first: Usage, second: Usage) -> Usage:
        """The second engine read the first one's text as a part of its prompt; it is counted as written only."""
        return Usage(first.prompt_tokens or second.prompt_tokens, first.completion_tokens + second.completion_tokens)


async def started_within(pieces: AsyncGenerator[Piece], wait_s: float) -> AsyncGenerator[Piece]:
    """Pass `pieces` on. Raises TimeoutError when the first is not there within `wait_s` seconds."""
    async with aclosing(pieces) as stream:
        async with asyncio.timeout(wait_s):
            first = await anext(stream, None)
        if first is not None:
            yield first
        async for piece in stream:
            yield piece
