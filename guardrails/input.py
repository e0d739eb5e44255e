"""The input rail: judges what is asked before the engine sees it."""

from collections.abc import Sequence

from guardrails.check import Embed, Subject
from guardrails.judge import judge
from guardrails.nemo import Rails
from guardrails.policy import parse_policy
from guardrails.user_config import RailsConfig
from guardrails.user_rails import UserRails
from guardrails.workers import Workers
from rag.consider import readable
from rag.types import Message, RequestSettings, Vector, Verdict


class InputRails:
    """Role `Guard` of rag/stages.py. `embed` is for checks that embed more than the question, `own` are the user's.

    `bundled`: the question's vector and those of `embed` are the bundled embedding model's.
    """

    def __init__(self, embed: Embed | None = None, own: RailsConfig | None = None, bundled: bool = True) -> None:
        self.embed = embed
        self.bundled = bundled and embed is not None
        self.own = UserRails(own or RailsConfig(), "input")
        self.workers = Workers()
        self.rails = Rails("input")

    def load(self) -> None:
        """Build the NeMo rails; once, before the first check. Raises ValueError for `own` rails that are wrong."""
        self.rails.load()
        self.own.load()

    async def check(self, messages: Sequence[Message], vector: Vector, settings: RequestSettings) -> Verdict:
        """Judge all of the user's messages, since the engine reads all of them."""
        side = parse_policy(settings.policy).input
        *earlier, question = [m.content for m in messages if m.role == "user"] or [""]
        subject = Subject(question, tuple(earlier), vector, embed=self.embed, bundled=self.bundled)
        verdict = await self.rails.run(lambda: judge(side, subject, self.workers), side.unchecked)
        return await self.own.after(verdict, readable(tuple(messages), verdict), side)
