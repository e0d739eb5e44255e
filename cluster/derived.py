"""`python -m cluster.derived`: writes what follows from cluster/gpu.yaml, so that there is one Serve file to edit.

That is the `serveConfigV2` inside KubeRay's RayService, and cluster/cloud.yaml, the same application for one site.
"""

from pathlib import Path
from typing import Any

import yaml

CLUSTER = Path(__file__).resolve().parent
SOURCE = CLUSTER / "gpu.yaml"
RAY_SERVICE = CLUSTER / "kuberay" / "rayservice.yaml"
CLOUD = CLUSTER / "cloud.yaml"
KEY = "  serveConfigV2: |\n"
INDENT = "    "
CLOUD_HEAD = """\
# The GPU cluster's application for a cluster of one site, such as that of aws.yaml, gcp.yaml or azure.yaml.
# Written by `make cluster-files` from gpu.yaml; do not edit.
"""


def ray_service(text: str, serve: str) -> str:
    """A RayService manifest `text` with the Serve file `serve` in it, less the comments at its head.

    Raises ValueError where the manifest has no `serveConfigV2` block.
    """
    before, key, after = text.partition(KEY)
    if not key:
        raise ValueError(f"the manifest has no line {KEY.strip()!r}")
    rest = after.splitlines(keepends=True)
    while rest and (rest[0].startswith(INDENT) or not rest[0].strip()):
        rest.pop(0)
    lines = serve.splitlines(keepends=True)
    while lines[0].startswith("#"):
        lines.pop(0)
    block = "".join(INDENT + line if line.strip() else line for line in lines)
    return before + key + block + "".join(rest)


def one_site(serve: str) -> str:
    """The Serve file without anything that says at which site a replica stands."""
    config: dict[str, Any] = yaml.safe_load(serve)
    args = config["applications"][0]["args"]
    for model in args["models"]:
        model.pop("placement", None)
        model.pop("private", None)
    args["placement"] = {name: {"cpus": place["cpus"]} for name, place in args["placement"].items()}
    return CLOUD_HEAD + yaml.safe_dump(config, sort_keys=False, width=120)


def main() -> None:
    """Write both files."""
    serve = SOURCE.read_text()
    RAY_SERVICE.write_text(ray_service(RAY_SERVICE.read_text(), serve))
    CLOUD.write_text(one_site(serve))


if __name__ == "__main__":
    main()
