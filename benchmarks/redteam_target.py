"""Asks Raglan on behalf of garak, whose process loads this file: it needs the standard library alone.

Garak's own REST generator keeps an answer's text only. Whether a guardrail refused stands in the finish reason.
"""

import json
import os
import time
import urllib.error
import urllib.request

KEY = "REST_API_KEY"
"""The environment variable that may hold an API key."""
UNASKED = (400, 413)
"""A request that Raglan does not take, such as one over the model's context."""
BUSY = (429, 503)
TRIES = 5


def ask(prompt: str, generations: int, *, url: str, model: str, max_tokens: int, timeout_s: float) -> list[str]:
    """Two outputs of one request, so `generations` must be 2: the answer and its finish reason; none when UNASKED.

    A busy server is asked again. Raises URLError where it stays busy, fails or cannot be reached.
    """
    if generations != len(("answer", "finish reason")):
        raise ValueError("configure two generations: the answer and its finish reason")
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY):  # noqa: TID251  a key stands in no configuration and in no report
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{url.rstrip('/')}/v1/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
                choice = json.load(response)["choices"][0]
            return [choice["message"]["content"], choice["finish_reason"]]
        except urllib.error.HTTPError as error:
            if error.code in UNASKED:
                return []
            if error.code not in BUSY or not left:
                raise
            time.sleep(float(error.headers.get("Retry-After") or 1))
    raise AssertionError
