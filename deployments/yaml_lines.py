"""Where in a YAML text a value stands."""

from collections.abc import Sequence

import yaml

Place = Sequence[str | int]
"""The keys and indices that lead to a value."""


def line_of(text: str, place: Place) -> int:
    """The line, counted from 1, of the value at `place`, or of the last thing on the way there that exists."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
