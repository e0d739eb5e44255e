"""Trains the demo model and writes `models/quote/`: `python -m models.train_quote`, under two hours on two cores.

One seeded command, on a GPU when there is one. Started again after an interruption, it goes on from its last
checkpoint, which it deletes once the model is written.
"""

import argparse
import random
import time
from pathlib import Path

from tqdm import tqdm

from models.quote_examples import ExampleMaker
from models.quote_network import export
from models.quote_score import exact_share
from models.quote_text import Corpus, read_corpus
from models.quote_training import Recipe, Training

ROOT = Path(__file__).resolve().parent.parent
SCORED_EXAMPLES = 120
CHECKPOINT_SECONDS = 180.0
CHECKPOINTS_PER_SCORE = 4


def held_out_score(training: Training, held: Corpus, seed: int) -> float:
    """Return the share of held-out examples of the final difficulty that greedy decoding answers exactly."""
    rng = random.Random(seed)
    maker = ExampleMaker(training.tokenizer, held)
    return exact_share(training.network, [maker.draw(rng, 1.0) for _ in range(SCORED_EXAMPLES)])


def train(training: Training, recipe: Recipe, held: Corpus) -> None:
    """Train up to the recipe's tokens with a progress bar, a checkpoint and now and then a score."""
    saved_at, saves = time.monotonic(), 0
    with tqdm(total=recipe.tokens, initial=training.tokens, unit="tok", unit_scale=True, mininterval=2) as bar:
        while training.tokens < recipe.tokens:
            bar.update(training.advance())
            bar.set_postfix(loss=f"{training.loss:.4f}")
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                training.save()
                saves += 1
                if saves % CHECKPOINTS_PER_SCORE == 0:
                    score = held_out_score(training, held, recipe.seed)
                    bar.write(f"{training.tokens / 1e6:.1f} M tokens: held-out exact match {score:.1%}")
                saved_at = time.monotonic()
    training.save()


def main() -> None:
    """Train, write the model, and report the held-out score; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=Recipe.tokens, help="training tokens")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "quote", help="where the model goes")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "var" / "train_quote.pt", help="to go on from")
    args = parser.parse_args()
    recipe = Recipe(seed=args.seed, tokens=args.tokens)
    trained, held = read_corpus(ROOT, recipe.seed)
    training = Training(recipe, trained, args.checkpoint)
    train(training, recipe, held)
    export(training.network, training.tokenizer, args.out)
    args.checkpoint.unlink()
    print(f"held-out exact match {held_out_score(training, held, recipe.seed):.1%}; written to {args.out}")


if __name__ == "__main__":
    main()
