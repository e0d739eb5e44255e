"""The real engines tell Serve's controller their load."""

import time

import pytest

from tests.serve.conftest import Running

pytestmark = pytest.mark.vllm
LONGEST_S = 40.0


def test_the_engines_tell_their_load(raglan: Running) -> None:
    """Serve counts each word of a replica when it has taken it, and each that failed."""
    deadline = time.monotonic() + LONGEST_S
    while not (told := raglan.metric("ray_serve_user_autoscaling_stats_latency_ms_count")):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert told > 0
    assert raglan.metric("ray_serve_record_autoscaling_stats_failed") == 0
