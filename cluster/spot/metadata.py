"""Asks a metadata service over HTTP: short, past any proxy, and with every failure told apart from an answer."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Literal

from cluster.spot.notice import Unreachable

ENDPOINT = "http://169.254.169.254"
"""Where every cloud's metadata service is."""
TIMEOUT_S = 2.0
LONGEST = 65536
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with status 200; the names of its headers are in lower case."""

    text: str
    headers: Mapping[str, str]


def ask(
    url: str, headers: Mapping[str, str], method: Literal["GET", "PUT"] = "GET", timeout_s: float = TIMEOUT_S
) -> Reply | None:
    """The answer; None for status 404. Raises Unreachable for any other status and where nothing answers in time."""
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310  http, from the command line
    try:
        with _opener.open(request, timeout=timeout_s) as reply:
            text = reply.read(LONGEST).decode(errors="replace")
            return Reply(text, {key.lower(): value for key, value in reply.headers.items()})
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise Unreachable(f"{url}: status {error.code}") from None
    except (OSError, HTTPException) as error:
        raise Unreachable(f"{url}: {error}") from None
