"""One request through every process of the real graph is one trace."""

import pytest

from tests.deployments.otlp_receiver import tree
from tests.serve.conftest import Running
from tests.serve.test_chat import QUESTION, ask

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

STAGES = {"embed", "guard", "retrieve", "rerank", "screen", "generate", "validate"}


def test_every_stage_is_an_observation_under_one_root(raglan: Running) -> None:
    secret = "jane.doe@example.org"
    body = ask(f"{QUESTION} Write to {secret}.", user="u-7", raglan={"session_id": "s-9"})
    answer = raglan.http.post("/v1/chat/completions", json=body).json()
    spans = raglan.receiver.trace(answer["raglan"]["trace_id"], len(STAGES) + 1)
    names = tree(spans)
    assert names.pop("chat") == ""
    assert names == dict.fromkeys(STAGES, "chat")
    assert sum(s.app_root for s in spans) == 1
    assert {s.attributes["user.id"] for s in spans} == {"u-7"}
    assert {s.attributes["session.id"] for s in spans} == {"s-9"}
    kinds = {s.name: s.kind for s in spans}
    assert (kinds["guard"], kinds["retrieve"], kinds["embed"]) == ("guardrail", "retriever", "embedding")
    generation = next(s for s in spans if s.name == "generate")
    assert generation.kind == "generation"
    assert generation.field("model.name") == "quote"
    assert generation.field("usage_details") == {
        "input": answer["usage"]["prompt_tokens"],
        "output": answer["usage"]["completion_tokens"],
    }
    assert generation.field("completion_start_time")
    assert secret.encode() not in raglan.receiver.raw
    assert raglan.receiver.problems == []
