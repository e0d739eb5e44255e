"""Where to look in a long text: overlapping stretches, since an embedding sees a few hundred characters at a time."""

HEAD = 1_000
"""Characters of a text that its own vector stands for: about the 256 tokens that the bundled model reads."""
WIDTH = 600
STEP = 300


def windows(length: int) -> list[tuple[int, int]]:
    """The head of a text of `length` characters, then stretches of WIDTH every STEP that reach its end.

    Padding of any length hides nothing: every run of STEP characters lies whole within one of them.
    """
    head = (0, min(length, HEAD))
    if length <= HEAD:
        return [head]
    last = length - WIDTH
    return [head, *((begin, begin + WIDTH) for begin in range(0, last, STEP)), (last, length)]
