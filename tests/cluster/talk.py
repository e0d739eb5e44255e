"""A Serve application that streams numbered lines, and what a driver on a machine does with it."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator

import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import StreamingResponse

LAST = "[DONE]"
PATIENCE_S = 40


@serve.deployment(
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=64,
    health_check_period_s=1,
    logging_config=LoggingConfig(enable_access_log=False),
)
class Talk:
    """Answers who it is, then `lines` lines a `pause` apart, then the last one."""

    async def __call__(self, request: Request) -> StreamingResponse:
        lines = int(request.query_params.get("lines", 0))
        return StreamingResponse(self.say(lines, float(request.query_params.get("pause", 0))))

    async def say(self, lines: int, pause: float) -> AsyncIterator[str]:
        yield f"{os.environ['MACHINE']} {os.getpid()}\n"
        for number in range(lines):
            await asyncio.sleep(pause)
            yield f"{number}\n"
        yield LAST


def connect() -> None:
    """Join the cluster that this machine belongs to, as soon as it can be, and Serve in it."""
    deadline = time.monotonic() + PATIENCE_S
    while not ray.is_initialized():
        try:
            ray.init(namespace="serve", log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    serve.start(http_options={"host": "0.0.0.0", "port": 8000}, proxy_location="EveryNode")


def deploy(name: str, replicas: int, grace_s: float = 20) -> None:
    """Deploy it at /`name` and wait until it runs."""
    connect()
    talk = Talk.options(num_replicas=replicas, graceful_shutdown_timeout_s=grace_s, graceful_shutdown_wait_loop_s=0.1)
    serve.run(talk.bind(), name=name, route_prefix=f"/{name}")


def show() -> None:
    """Print each application's status and number of running replicas, and each proxy's state by its node's address."""
    connect()
    status = serve.status()
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
    told = {
        "applications": {name: app.status for name, app in status.applications.items()},
        "replicas": {n: a.deployments["Talk"].replica_states.get("RUNNING", 0) for n, a in status.applications.items()},
        "proxies": {nodes[node]: state for node, state in status.proxies.items()},
    }
    print(json.dumps(told))
