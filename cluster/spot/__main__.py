"""`python -m cluster.spot watch`: drain this machine's Ray node when its cloud announces the machine's end.

`python -m cluster.spot drain --seconds N`: drain it now and wait until it is empty, for a hook before a pod stops.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence

from cluster.spot.clouds import clouds, find
from cluster.spot.metadata import ENDPOINT
from cluster.spot.notice import Cloud, Unreachable
from cluster.spot.ray_node import NotDrained, RayNode, node_ids
from cluster.spot.watch import SHARE, Watch

TRIES = 5
"""How often a metadata service that does not answer is looked for: a booting machine's may be late."""
POLL_S = 0.5
LOST_S = 20.0
"""A head that is away for so long will not move this node's replicas."""
log = logging.getLogger("cluster.spot")


def where(known: Sequence[Cloud], endpoint: str, tries: int, pause_s: float) -> Cloud | None:
    """The cloud this machine stands in; None, told once, where no metadata service answers."""
    for left in reversed(range(tries)):
        try:
            if cloud := find(known):
                log.info("watching for %s's notice", cloud.name)
                return cloud
            break
        except Unreachable:
            if left:
                time.sleep(pause_s)
                pause_s *= 2
    log.warning("no metadata service of %s answers at %s: nothing to watch", "/".join(c.name for c in known), endpoint)
    return None


def watch(args: argparse.Namespace) -> int:
    """0 when the node drains or there is nothing to watch for."""
    known = [c for c in clouds(args.endpoint, not args.ignore_rebalance) if args.cloud in {"auto", c.name}]
    cloud = where(known, args.endpoint, 1 if args.once else TRIES, args.every)
    if cloud is None:
        return 0
    watching = Watch(cloud, RayNode(args.address, args.grace), args.every)
    if args.once:
        log.info("the node drains" if watching.look() else "the node does not drain")
    else:
        watching.run()
    return 0


def drain(args: argparse.Namespace) -> int:
    """0 when the node was emptied in time; 1 when it could not be."""
    node, end = RayNode(args.address, args.grace), time.monotonic() + args.seconds
    try:
        node.drain("the machine is being stopped", args.seconds * SHARE)
    except NotDrained as error:
        log.error("not drained: %s", error)
        return 1
    lost = time.monotonic() + LOST_S
    while node_ids():
        if node.reaches_head():
            lost = time.monotonic() + LOST_S
        if time.monotonic() > min(lost, end):
            log.warning("the node is not empty, and time is over" if lost > end else "the head is gone")
            return 1
        time.sleep(POLL_S)
    return 0


def seconds(text: str) -> float:
    """A number of seconds above 0, for argparse."""
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: must be above 0")
    return value


def command_line() -> argparse.ArgumentParser:
    """What may be asked."""
    parser = argparse.ArgumentParser(prog="python -m cluster.spot", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    watcher = commands.add_parser("watch", help="wait for the cloud's notice")
    watcher.add_argument("--cloud", choices=["auto", "aws", "gcp", "azure"], default="auto", help="default: find out")
    watcher.add_argument("--endpoint", default=ENDPOINT, help="the metadata service; default: %(default)s")
    watcher.add_argument("--every", type=seconds, default=2.0, help="seconds between two looks; default: %(default)s")
    watcher.add_argument("--once", action="store_true", help="look once and end")
    watcher.add_argument("--ignore-rebalance", action="store_true", help="wait for AWS's notice itself")
    drainer = commands.add_parser("drain", help="drain now and wait until the node is empty")
    drainer.add_argument("--seconds", type=seconds, required=True, help="the time until the machine is stopped")
    for command in (watcher, drainer):
        command.add_argument("--address", default="auto", help="the head, as host:port; default: this node's")
        grace = "the application's longest graceful_shutdown_timeout_s; default: %(default)s"
        command.add_argument("--grace", type=seconds, default=630.0, help=grace)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    given = command_line().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s cluster.spot: %(message)s")
    return watch(given) if given.command == "watch" else drain(given)


if __name__ == "__main__":
    sys.exit(main())
