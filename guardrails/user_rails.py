"""Rails of a user's own NeMo folder, run after our checks: its flows, prompts and models, or any of NeMo's library."""

from guardrails.check import Entry, Reaction, action_field, budget_field


class RailsEntry(Entry):
    """The rails of your own NeMo folder (`rails.config`); without one this check is not made."""

    action: Reaction = action_field("block")
    budget_ms: int = budget_field(10_000)
