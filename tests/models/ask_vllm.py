"""Run by `test_quote.py`: answers the chats on stdin through vLLM, and says how a too long prompt is refused.

`python -m tests.models.ask_vllm MODEL TENSOR_PARALLEL` prints one JSON line: {"answers", "refusal", "resumed"}.
`resumed` holds, for each answer, what becomes of it when an engine goes on from the end of every CUT-th token.
"""

import json
import sys
from typing import Any

from vllm import LLM, RequestOutput, SamplingParams
from vllm.exceptions import VLLMValidationError

from deployments.llm import chat_request
from rag.begun import Begun
from rag.types import Message, Prompt

GREEDY = SamplingParams(temperature=0.0, max_tokens=300)
CUT = 3


def main() -> None:
    model, tensor_parallel = sys.argv[1], int(sys.argv[2])
    engine = LLM(
        model=model,
        dtype="bfloat16",
        tensor_parallel_size=tensor_parallel,
        enforce_eager=True,
        max_num_seqs=8,
        kv_cache_memory_bytes=2**28,
        disable_log_stats=True,
    )
    chats = json.load(sys.stdin)
    outputs = engine.chat(chats, GREEDY, use_tqdm=False)
    refusal = ""
    try:
        engine.chat([{"role": "user", "content": "word " * 3000}], use_tqdm=False)
    except VLLMValidationError as error:
        refusal = str(error)
    answers = [output.outputs[0].text for output in outputs]
    resumed = [resume(engine, chat, output) for chat, output in zip(chats, outputs, strict=True)]
    print(json.dumps({"answers": answers, "refusal": refusal, "resumed": resumed}))


def resume(engine: LLM, chat: list[dict[str, str]], output: RequestOutput) -> list[str]:
    """The whole answers that begin with prefixes of this one, asked for as a lost engine's rest is."""
    ids = list(output.outputs[0].token_ids)[:-1]  # the last is the end mark
    decode = engine.get_tokenizer().decode
    begun = [text for text in (decode(ids[:n]) for n in range(1, len(ids) + 1, CUT)) if not text.endswith("\ufffd")]
    messages = tuple(Message(m["role"], m["content"]) for m in chat)
    requests: list[Any] = [chat_request(Prompt("quote", messages, begun=text)) for text in begun]
    found = engine.chat(
        [request.messages for request in requests],
        GREEDY,
        use_tqdm=False,
        continue_final_message=requests[0].continue_final_message,
        add_generation_prompt=requests[0].add_generation_prompt,
    )
    return [joined(text, rest) for text, rest in zip(begun, found, strict=True)]


def joined(text: str, rest: RequestOutput) -> str:
    seam = Begun(text)
    seam.check(rest.prompt)
    return text + seam.follow(rest.outputs[0].text)


if __name__ == "__main__":
    main()
