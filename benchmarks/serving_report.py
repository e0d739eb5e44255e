"""Statistics of the serving benchmark, and its tables in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.serving_load import Answer, Load

OPEN = 0
"""The concurrency of requests that come at a rate, whether or not those before are answered: an open loop."""


def level(concurrency: int) -> str:
    """What a load is called."""
    return f"{concurrency} concurrent" if concurrency else "open loop"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 95th percentile, in milliseconds."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Row:
    """One server at one concurrency (or OPEN), over all rounds.

    `per_token` is the time between the first and the last text by the tokens after the first; None where most answers
    came in one piece. `cpu_ms` is CPU time of all the server's processes by request. `engine`, `stages`: medians in
    milliseconds. `same` is the share of whole answers equal to the baseline's, None where that has none to the same
    prompts. `rounds` are each round's requests/s.
    """

    server: str
    concurrency: int
    requests: int
    errors: int
    ttft: Spread
    per_token: Spread | None
    latency: Spread
    requests_per_s: float
    tokens_per_s: float
    cpu_ms: float
    prompt_tokens: float
    output_tokens: float
    engine: dict[str, float]
    stages: dict[str, float]
    same: float | None
    rounds: tuple[float, ...]
    failures: tuple[str, ...]


def spread(seconds: Sequence[float]) -> Spread:
    """Of at least one duration."""
    p50, p95 = np.percentile(np.asarray(seconds) * 1e3, (50, 95))
    return Spread(float(p50), float(p95))


def per_token(answers: Sequence[Answer]) -> Spread | None:
    """Between first and last text, by the tokens after the first; None where most answers came in one piece."""
    gaps = [(a.last - a.first) / (a.output_tokens - 1) for a in answers if a.steps > 1 and a.output_tokens > 1]
    return spread(gaps) if 2 * len(gaps) > len(answers) else None


def medians(dicts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each key over the mappings that have it."""
    keys = dict.fromkeys(key for d in dicts for key in d)
    return {key: float(np.median([d[key] for d in dicts if key in d])) for key in keys}


def engine_times(answer: Answer) -> dict[str, float]:
    """The engine's own milliseconds, and what of the answer's whole time lies outside of them."""
    parts = {"queue": "queue_time_ms", "prefill": "time_to_first_token_ms", "decode": "generation_time_ms"}
    found = {name: answer.engine[key] for name, key in parts.items() if key in answer.engine}
    return {**found, "outside": answer.end * 1e3 - sum(found.values())} if found else {}


def stage_times(answer: Answer) -> dict[str, float]:
    """Raglan's stages, and `http`: how much later the client saw the first text than the server."""
    if "ttft" not in answer.timings:
        return {}
    return {**answer.timings, "http": answer.first * 1e3 - answer.timings["ttft"]}


def summarise(server: str, concurrency: int, loads: Sequence[Load], cpu: float, expected: Mapping[int, str]) -> Row:
    """The row of a server's `loads` at one concurrency; `cpu` in seconds, `expected` the baseline's text by case.

    Raises ValueError, with the reasons, when no answer is whole.
    """
    answers = [a for load in loads for a in load.answers]
    good = [a for a in answers if not a.error]
    failures = tuple(sorted({a.error for a in answers if a.error}))
    if not good:
        raise ValueError(f"{server}: no answer is whole: {', '.join(failures)}")
    seconds = sum(load.seconds for load in loads)
    known = [a for a in good if a.case in expected]
    return Row(
        server=server,
        concurrency=concurrency,
        requests=len(answers),
        errors=len(answers) - len(good),
        ttft=spread([a.first for a in good]),
        per_token=per_token(good),
        latency=spread([a.end for a in good]),
        requests_per_s=len(good) / seconds,
        tokens_per_s=sum(a.output_tokens for a in good) / seconds,
        cpu_ms=cpu * 1e3 / len(answers),
        prompt_tokens=float(np.mean([a.prompt_tokens for a in good])),
        output_tokens=float(np.mean([a.output_tokens for a in good])),
        engine=medians([engine_times(a) for a in good]),
        stages=medians([stage_times(a) for a in good]),
        same=float(np.mean([a.text == expected[a.case] for a in known])) if known else None,
        rounds=tuple(sum(not a.error for a in load.answers) / load.seconds for load in loads),
        failures=failures,
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned to be read as it stands: the first column to the left, the others to the right."""
    widths = [max(len(line[n]) for line in (head, *lines)) for n in range(len(head))]

    def row(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if n else c.ljust(w) for n, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (w + 1) + (':' if n else '-') for n, w in enumerate(widths))}|"
    return "\n".join([row(head), rule, *map(row, lines)])


HEAD = (
    "server",
    "TTFT p50",
    "p95 ms",
    "per token p50",
    "p95 ms",
    "answer p50",
    "p95 ms",
    "requests/s",
    "tokens/s",
    "CPU ms/request",
    "errors",
)


def comparison(rows: Sequence[Row], baseline: str, tuned: str) -> str:
    """The servers at one concurrency, with the ratios of TTFT and requests/s to `baseline` and to `tuned`."""
    by_name = {row.server: row for row in rows}
    others = [name for name in (baseline, tuned) if name in by_name]
    head = [*HEAD, *(f"{what} / {name}" for name in others for what in ("TTFT", "req/s"))]
    lines = []
    for row in rows:
        ratios = [
            f"{ratio:.2f}"
            for other in (by_name[name] for name in others)
            for ratio in (row.ttft.p50 / other.ttft.p50, row.requests_per_s / other.requests_per_s)
        ]
        lines.append([row.server, *figures(row), *ratios])
    return table(head, lines)


def figures(row: Row) -> list[str]:
    """A row's cells under HEAD, its name left out."""
    token = [f"{row.per_token.p50:.2f}", f"{row.per_token.p95:.2f}"] if row.per_token else ["-", "-"]
    return [
        f"{row.ttft.p50:.1f}",
        f"{row.ttft.p95:.1f}",
        *token,
        f"{row.latency.p50:.0f}",
        f"{row.latency.p95:.0f}",
        f"{row.requests_per_s:.1f}",
        f"{row.tokens_per_s:.0f}",
        f"{row.cpu_ms:.0f}",
        str(row.errors),
    ]


def parts(rows: Sequence[Row], of: Callable[[Row], Mapping[str, float]]) -> str:
    """Medians in milliseconds by part (a stage, or a share of the engine) and concurrency; empty without any."""
    having = [row for row in rows if of(row)]
    keys = dict.fromkeys(key for row in having for key in of(row))
    if not keys:
        return ""
    lines = [
        [f"{row.server}, {level(row.concurrency)}", *(f"{of(row)[k]:.1f}" if k in of(row) else "-" for k in keys)]
        for row in having
    ]
    return table(["server, load", *keys], lines)


def equality(rows: Sequence[Row]) -> str:
    """Whether every server's engine read as long a prompt and gave the same answers."""
    lines = [
        [
            f"{row.server}, {level(row.concurrency)}",
            f"{row.prompt_tokens:.1f}",
            f"{row.output_tokens:.1f}",
            "-" if row.same is None else f"{row.same:.1%}",
            " ".join(f"{r:.1f}" for r in row.rounds),
            ", ".join(row.failures) or "-",
        ]
        for row in rows
    ]
    head = ["server, load", "prompt tokens", "output tokens", "same answers", "requests/s by round", "failures"]
    return table(head, lines)
