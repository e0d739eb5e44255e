"""`python -m cluster.head [--detach] ...`: a Ray head that starts again when one of its processes dies.

What is not `--detach` goes to `ray start --head --block`, which ends the whole head when a process of it dies. One
keeper runs at a time: a new one ends the one before it, with its head. The head finds its tables again where
RAY_gcs_storage and RAY_gcs_storage_path, or RAY_REDIS_ADDRESS, say that they are kept.
"""

import logging
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import psutil  # type: ignore[import-untyped]

KEEPER = Path(tempfile.gettempdir()) / "raglan-head"
"""Where the keeper's id stands, and with `.log` what a detached one says."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
STEADY_S = 60.0
"""A head that ran for so long was well: the pauses begin anew."""
END_S = 30.0
log = logging.getLogger("cluster.head")


def keep(command: Sequence[str], sleep: Callable[[float], None] = time.sleep) -> NoReturn:
    """Run `command` for ever, with longer pauses as long as it ends soon. SIGTERM ends both."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pause_s = FIRST_PAUSE_S
    while True:
        begin = time.monotonic()
        with subprocess.Popen(command) as head:
            try:
                status = head.wait()
            finally:
                stop(head)
        pause_s = FIRST_PAUSE_S if time.monotonic() - begin > STEADY_S else min(pause_s * 2, LONGEST_PAUSE_S)
        log.warning("the head ended with status %s and starts again in %.0f s", status, pause_s)
        sleep(pause_s)


def stop(head: subprocess.Popen[bytes]) -> None:
    """End the head, if it runs: never from within a signal's handler, which may have interrupted another wait."""
    head.terminate()
    try:
        head.wait(END_S)
    except subprocess.TimeoutExpired:
        head.kill()


def end_another(file: Path) -> None:
    """End the keeper whose id and start stand in `file`, if it still runs; kill it when it does not end."""
    try:
        pid, started = file.read_text().split()
        keeper = psutil.Process(int(pid))
        if keeper.create_time() == float(started):
            keeper.terminate()
            try:
                keeper.wait(END_S + 5)
            except psutil.TimeoutExpired:
                keeper.kill()
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return


def main(arguments: Sequence[str] | None = None) -> None:
    """Keep a head; detached, return at once and let another process keep it."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--help" in given:
        print(__doc__)
        return
    if "--detach" in given:
        given.remove("--detach")
        with KEEPER.with_suffix(".log").open("ab") as said:
            command = [sys.executable, "-m", "cluster.head", *given]
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s cluster.head: %(message)s")
    end_another(KEEPER)
    me = psutil.Process()
    KEEPER.write_text(f"{me.pid} {me.create_time()}")
    keep(["ray", "start", "--head", "--block", *given])


if __name__ == "__main__":
    main()
