"""Run by `test_quote.py`: answers the chats on stdin through vLLM, and says how a too long prompt is refused.

`python ask_vllm.py MODEL TENSOR_PARALLEL` prints one JSON line: {"answers": [...], "refusal": "..."}.
"""

import json
import sys

from vllm import LLM, SamplingParams
from vllm.exceptions import VLLMValidationError


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
    outputs = engine.chat(json.load(sys.stdin), SamplingParams(temperature=0.0, max_tokens=300), use_tqdm=False)
    refusal = ""
    try:
        engine.chat([{"role": "user", "content": "word " * 3000}], use_tqdm=False)
    except VLLMValidationError as error:
        refusal = str(error)
    print(json.dumps({"answers": [output.outputs[0].text for output in outputs], "refusal": refusal}))


if __name__ == "__main__":
    main()
