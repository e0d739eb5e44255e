"""The prompt the demo model is trained on, and the answer it owes: numbered evidence in, the first line quoted."""

from collections.abc import Sequence

NOTHING_FOUND = "I found nothing about that in the documents."


def user_message(evidence: Sequence[tuple[int, str]], question: str) -> str:
    """Return the last user message: `evidence` as (citation number, one-line sentence), the line to quote first."""
    lines = "".join(f"\n[{number}] {sentence}" for number, sentence in evidence)
    return f"Evidence:{lines}\nQuestion: {question}"


def right_answer(evidence: Sequence[tuple[int, str]]) -> str:
    """Return the exact text the model should answer: the first sentence with its citation, or the fixed sentence."""
    if not evidence:
        return NOTHING_FOUND
    number, sentence = evidence[0]
    return f"{sentence} [{number}]"
