"""Training examples for the demo model: token ids of a rendered prompt and of the answer that quotes line one.

Most lines are random tokens from a small pool, which forces copying by context instead of guessing; the share of
real text and the length of lines grow with `progress`. It knows nothing of the network or of the optimizer.
"""

import random
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from models.quote_prompt import NOTHING_FOUND
from models.quote_synthetic import synthetic_line
from models.quote_text import Corpus
from models.quote_tokenizer import ASSISTANT, END, START, SYSTEM, USER

LONGEST_LINE = 260
BRACKETED = ("[{}]", "[{}]_", "x[{}]", "[{}, 2]", "[{}].", "([{}])")

Ids = list[int]


@dataclass(frozen=True)
class Example:
    """`prompt` is what the chat template renders; `answer` ends with the end-of-turn token."""

    prompt: Ids
    answer: Ids

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


class ExampleMaker:
    """Draws examples; everything random comes from the generator passed to `draw`."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, corpus: Corpus) -> None:
        self._tokenizer = tokenizer
        self._corpus = corpus
        special = set(tokenizer.all_special_ids)
        self._plain_ids = [i for i in range(len(tokenizer)) if i not in special and "\n" not in tokenizer.decode([i])]
        self._start, self._end, self._system, self._user, self._assistant = (
            tokenizer.convert_tokens_to_ids(t) for t in (START, END, SYSTEM, USER, ASSISTANT)
        )
        self._nothing = [*self._encode(NOTHING_FOUND), self._end]

    def draw(self, rng: random.Random, progress: float) -> Example:
        """Return one example; `progress` from 0 to 1 makes lines longer, more numerous and more natural."""
        prompt = [self._start]
        if rng.random() < 0.2:
            prompt += [self._system, *self._line(rng, progress, 40), self._end]
        if rng.random() < 0.1 * progress + 0.02:
            earlier, answer = self._turn(rng, progress, 40)
            prompt += [self._user, *earlier, self._end, self._assistant, *answer]
        question, answer = self._turn(rng, progress, LONGEST_LINE)
        return Example([*prompt, self._user, *question, self._end, self._assistant], answer)

    def _encode(self, text: str) -> Ids:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _turn(self, rng: random.Random, progress: float, longest: int) -> tuple[Ids, Ids]:
        """Return (user message, answer with its end token)."""
        if rng.random() < 0.06:
            header = self._encode("Evidence:\nQuestion:" if rng.random() < 0.8 else "")
            return [*header, *self._unanswerable(rng, progress)], self._nothing
        lines = self._lines(rng, progress, longest)
        numbers = rng.sample(range(1, 13 if rng.random() < 0.9 else 100), len(lines))
        message = self._encode("Evidence:")
        for number, line in zip(numbers, lines, strict=True):
            message += [*self._encode(f"\n[{number}] "), *line]
        message += [*self._encode("\nQuestion:"), *self._question(rng, progress, lines)]
        return message, [*lines[0], *self._encode(f" [{numbers[0]}]"), self._end]

    def _lines(self, rng: random.Random, progress: float, longest: int) -> list[Ids]:
        """Return the evidence: the line to quote, then others, some of them altered copies of it."""
        count = 1 if rng.random() < 0.6 - 0.35 * progress else rng.randint(2, 6)
        limit = min(longest, self._line_limit(rng, progress))
        first = self._line(rng, progress, limit)
        others = []
        for _ in range(count - 1):
            if rng.random() < 0.3:
                others.append(self._altered(rng, first))
            else:  # mostly short: tokens of other lines cost time and teach little
                others.append(self._line(rng, progress, min(limit, 50 if rng.random() < 0.8 else 150)))
        return [first, *others]

    def _unanswerable(self, rng: random.Random, progress: float) -> Ids:
        """Return a question without evidence; some share words with the fixed answer, which must not derail it."""
        if rng.random() < 0.4:
            return self._line(rng, progress, 30)
        words = rng.choice(self._corpus.sentences).split()[: rng.randint(2, 14)]
        if rng.random() < 0.4:
            words.insert(rng.randint(0, len(words)), rng.choice(NOTHING_FOUND.rstrip(".").split()))
        return self._encode(f" {' '.join(words)}?")

    @staticmethod
    def _line_limit(rng: random.Random, progress: float) -> int:
        top = 14 + min(1.0, progress / 0.6) * (LONGEST_LINE - 14)
        return int(4 + (top - 4) * rng.random() ** (2 - 0.8 * progress))

    def _line(self, rng: random.Random, progress: float, limit: int) -> Ids:
        """Return one line of at least one and at most `limit` tokens, without a newline."""
        natural = 0.1 + 0.5 * min(1.0, progress / 0.5)
        line = self._text_line(rng, limit) if rng.random() < natural else self._random_line(rng, limit)
        if rng.random() < 0.15 and len(line) > 2:
            start = rng.randrange(len(line) - 1)
            stop = start + rng.randint(1, 6)
            line = line[:stop] + line[start:stop] + line[stop:]
        elif rng.random() < 0.12:
            line = line[: limit // 2] + self._altered(rng, line[: limit // 2])
        return line[:limit] or [rng.choice(self._plain_ids)]

    def _random_line(self, rng: random.Random, limit: int) -> Ids:
        length = rng.randint(max(1, limit // 2), limit)
        size = int(4 * 10 ** rng.random()) if rng.random() < 0.6 else len(self._plain_ids)
        pool = rng.choices(self._plain_ids, k=size)
        return rng.choices(pool, k=length)

    def _text_line(self, rng: random.Random, limit: int) -> Ids:
        draw = rng.random()
        if draw < 0.4:
            text = synthetic_line(rng, max(1, limit // 14))
        else:
            source = self._corpus.code if draw < 0.7 else self._corpus.sentences
            text = rng.choice(source)
            while len(text) < 2.2 * limit and rng.random() < 0.85:
                text = f"{text} {rng.choice(source)}"
        if rng.random() < 0.2:  # numbers in brackets that are no citation of ours
            words = text.split(" ")
            words.insert(rng.randint(0, len(words)), rng.choice(BRACKETED).format(rng.randint(0, 12)))
            text = " ".join(words)
        return self._encode(text)

    def _altered(self, rng: random.Random, line: Ids) -> Ids:
        """Return `line` with one to four tokens exchanged, inserted, deleted, or with a stretch of it moved or cut."""
        new = list(line)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(new) + 1)
            other = rng.choice(line) if line and rng.random() < 0.6 else rng.choice(self._plain_ids)
            match rng.randrange(5):
                case 0:
                    new[at : at + 1] = [other]
                case 1:
                    new.insert(at, other)
                case 2:
                    del new[at : at + rng.randint(1, 3)]
                case 3:
                    new = new[at:] + new[:at]
                case _:
                    new = new[: max(1, at)] if rng.random() < 0.5 else new[at:]
        return new or [rng.choice(self._plain_ids)]

    def _question(self, rng: random.Random, progress: float, lines: list[Ids]) -> Ids:
        """Return a question of a few words or tokens; half of them repeat a stretch of the evidence."""
        if rng.random() < 0.5:
            line = rng.choice(lines)
            start = rng.randrange(len(line))
            return line[start : start + rng.randint(2, 20)]
        if rng.random() < 0.5:
            words = rng.choice(self._corpus.sentences).split()
            return self._encode(f" {' '.join(words[: rng.randint(2, 12)])}?")
        return self._line(rng, progress, rng.randint(2, 25))
