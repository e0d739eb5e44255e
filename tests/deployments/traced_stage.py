"""A stage in a process of its own: reads {"config", "carrier", "secret"} as JSON and observes under the carrier.

It closes its tracer unless "close" is false; then the end of the process must.
"""

import json
import sys

from deployments.tracing import TracingConfig, make_tracer
from rag.types import Hit, Passage, Verdict


def main() -> None:
    asked = json.load(sys.stdin)
    tracer = make_tracer(TracingConfig(**asked["config"]), lambda text: text.replace(asked["secret"], "[MASKED]"))
    with tracer.observe(asked["carrier"], "guard", "guardrail", f"is {asked['secret']} allowed?") as observation:
        observation.end(Verdict(True))
    retrieving = tracer.observe(asked["carrier"], "retrieve", "retriever", {"question": asked["secret"]}, candidates=20)
    with tracer.observe(retrieving.carrier, "fuse", "span"):
        pass
    retrieving.end([Hit(Passage("a#1", "a", asked["secret"]), 0.5)])
    try:
        with tracer.observe(asked["carrier"], "rerank", "retriever"):
            raise ValueError(asked["secret"])
    except ValueError:
        pass
    if asked.get("close", True):
        tracer.close(10)


if __name__ == "__main__":
    main()
