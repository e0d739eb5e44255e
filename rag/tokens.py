"""A text's token vectors as they are kept: in bytes with a scale for each token, in memory or in a file.

Rounding to 8 bits moves a similarity by less than .002: MaxSim does not notice, memory and disk do.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.types import TokenVectors

STEPS = 127


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """A text by token: rounded vectors (n, d), the scale of each (n,), and the tokens' character spans (n, 2)."""

    vectors: NDArray[np.int8]
    scales: NDArray[np.float32]
    spans: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return int(self.vectors.nbytes + self.scales.nbytes + self.spans.nbytes)


def pack(tokens: TokenVectors) -> PackedTokens:
    """Round to bytes; the largest component of each token becomes `STEPS`."""
    scales = np.abs(tokens.vectors).max(1, initial=1e-9) / STEPS
    return PackedTokens(np.rint(tokens.vectors / scales[:, None]).astype(np.int8), scales, tokens.spans)


def token_key(model: str, text: str) -> bytes:
    """16 bytes that stand for a text as the embedding model `model` sees it."""
    return hashlib.blake2b(f"{model}\0{text}".encode(errors="surrogatepass"), digest_size=16).digest()


class KnownTokens(Protocol):
    """Token vectors that need no forward pass."""

    def get(self, key: bytes) -> PackedTokens | None:
        """Those of the text that `key` stands for, if they are there."""
        ...


class TokenCache:
    """The token vectors of recent texts, least recently used out first, within `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[bytes, PackedTokens] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> PackedTokens | None:
        """What is kept under the key."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: bytes, tokens: PackedTokens) -> None:
        """Keep it, as long as there is room."""
        with self._lock:
            if key not in self._kept:
                self._size += tokens.nbytes
            self._kept[key] = tokens
            while self._size > self._limit:
                self._size -= self._kept.popitem(last=False)[1].nbytes
