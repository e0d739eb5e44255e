"""The only Ray code: settings, the wiring, and one thin file per deployment."""

import gc

gc.set_threshold(50_000, 20)
"""Python's own 700 and 10 cost a replica a fifth of its start: vLLM's import makes millions of objects that stay."""
