"""Between retrieval and prompt: passages that the engine must not read are dropped, and the trace says which."""

import time
from dataclasses import replace

from rag.consider import Clock, Considered
from rag.stages import Stages, Trace
from rag.types import RequestSettings


async def screen(
    considered: Considered, settings: RequestSettings, stages: Stages, trace: Trace, clock: Clock
) -> Considered:
    """`considered` without the passages that the screener does not allow, and with its verdicts."""
    hits = considered.hits
    if not hits:
        return considered
    begin = time.perf_counter()
    observation = trace.start("screen", "guardrail", input=[hit.passage.id for hit in hits])
    verdicts = await stages.screener.screen(hits, considered.messages[-1].content, settings)
    kept = [hit for hit, verdict in zip(hits, verdicts, strict=True) if verdict.allowed]
    observation.end(verdicts)
    clock.mark("screen", begin)
    return replace(considered, hits=kept, screened=verdicts)
