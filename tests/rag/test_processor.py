"""Which machines get matrices of 8 bits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.embed import EmbedConfig
from rag.processor import sums_bytes_exactly


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    sums_bytes_exactly.cache_clear()
    yield
    sums_bytes_exactly.cache_clear()


@pytest.mark.parametrize(
    ("machine", "flags", "chosen"),
    [
        ("x86_64", "fma avx2 avx512f avx512_vnni", "int8"),
        ("x86_64", "fma avx2 avx_vnni", "int8"),
        ("x86_64", "fma avx2 avx512f", "fp32"),
        ("x86_64", None, "fp32"),
        ("aarch64", None, "int8"),
    ],
)
def test_bytes_are_chosen_where_their_sums_are_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, flags: str | None, chosen: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("rag.processor.CPUINFO", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    assert EmbedConfig().chosen_precision == chosen
    assert EmbedConfig(precision="int8").chosen_precision == "int8"
