"""The seam of an answer that a second engine goes on with.

Many chat templates trim their messages. Then the engine does not see the white space that the answer ended with, and
writes it again: it is dropped here.
"""

from dataclasses import dataclass

from rag.errors import InvalidInput


@dataclass(slots=True)
class Begun:
    """`text` is how the answer begins; `owed` the white space at its end that the engine does not know of."""

    text: str
    owed: str = ""

    def check(self, rendered: str) -> None:
        """See how the begun answer stands at the end of the rendered prompt. Raises InvalidInput where it does not."""
        bare = self.text.rstrip()
        if rendered.endswith(self.text):
            self.owed = ""
        elif rendered.endswith(bare.lstrip()):
            self.owed = self.text[len(bare) :]
        else:
            raise InvalidInput("the model's chat template changes an answer that is begun")

    def follow(self, text: str) -> str:
        """The engine's next text without the white space that is there already."""
        while self.owed and text:
            if text[0] != self.owed[0]:
                self.owed = ""
                return text.lstrip()
            text, self.owed = text[1:], self.owed[1:]
        return text
