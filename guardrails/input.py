"""The input rail: judges what is asked before the engine sees it."""

from collections.abc import Sequence

from guardrails.check import Embed, Subject
from guardrails.judge import judge
from guardrails.nemo import Rails
from guardrails.policy import parse_policy
from guardrails.workers import Workers
from rag.types import Message, RequestSettings, Vector, Verdict

SHOWN = 32_000
"""Characters of a question that NeMo is given; the checks read all of it."""


class InputRails:
    """Role `Guard` of rag/stages.py. `embed` is for the checks that embed more than the question."""

    def __init__(self, embed: Embed | None = None) -> None:
        self.embed = embed
        self.workers = Workers()
        self.rails = Rails("input")

    def load(self) -> None:
        """Build the NeMo rails; once, before the first check."""
        self.rails.load()

    async def check(self, messages: Sequence[Message], vector: Vector, settings: RequestSettings) -> Verdict:
        """Judge the user's messages. NeMo is given the last one: each earlier one would cost it milliseconds more.

        The earlier ones are judged beside it, since the engine reads them too.
        """
        side = parse_policy(settings.policy).input
        *earlier, question = [m.content for m in messages if m.role == "user"] or [""]
        subject = Subject(question, tuple(earlier), vector, embed=self.embed)
        shown = [{"role": "user", "content": question[:SHOWN]}]
        return await self.rails.run(shown, lambda: judge(side, subject, self.workers), side.unchecked)
