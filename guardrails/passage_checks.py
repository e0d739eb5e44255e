"""The checks on one retrieved passage before it becomes part of a prompt."""

from guardrails.check import CheckPolicy, Dropping, Finding, Subject, action_field
from guardrails.normalise import hidden


class HiddenPassage(CheckPolicy):
    """Invisible Unicode tag characters: no document needs them, and they carry text only a model reads."""

    action: Dropping = action_field("drop")

    def check(self, subject: Subject) -> Finding:
        count = hidden(subject.text)
        return Finding(count > 0, float(count))
