"""Trains the demo model and writes `models/quote/`: `python -m models.train_quote`, under two hours on two cores.

One seeded command, on a GPU when there is one. Started again after an interruption, it goes on from its last
checkpoint, which it deletes once the model is written.
"""

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn
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


def train(training: Training, recipe: Recipe, held: Corpus, first: bool) -> None:
    """Train up to the recipe's tokens; the `first` worker shows a progress bar, saves, and scores now and then."""
    saved_at, saves = time.monotonic(), 0
    with tqdm(
        total=recipe.tokens, initial=training.tokens, unit="tok", unit_scale=True, mininterval=2, disable=not first
    ) as bar:
        while training.tokens < recipe.tokens:
            bar.update(training.advance())
            bar.set_postfix(loss=f"{training.loss:.4f}", refresh=False)
            if first and time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                training.save()
                saves += 1
                if saves % CHECKPOINTS_PER_SCORE == 0:
                    score = held_out_score(training, held, recipe.seed)
                    bar.write(f"{training.tokens / 1e6:.1f} M tokens: held-out exact match {score:.1%}")
                saved_at = time.monotonic()


def work(worker: int, workers: int, meeting: Path, args: argparse.Namespace) -> None:
    """Train as one of `workers` equal workers that meet through the file `meeting`; the first writes the model."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    if workers > 1:
        dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=worker, world_size=workers)
    recipe = Recipe(seed=args.seed, tokens=args.tokens)
    trained, held = read_corpus(ROOT, recipe.seed)
    training = Training(recipe, trained, args.checkpoint)
    train(training, recipe, held, first=worker == 0)
    if worker == 0:
        export(training.network, training.tokenizer, args.out)
        args.checkpoint.unlink(missing_ok=True)
        print(f"held-out exact match {held_out_score(training, held, recipe.seed):.1%}; written to {args.out}")
    if workers > 1:
        dist.destroy_process_group()


def main() -> None:
    """Train, write the model, and report the held-out score; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=Recipe.tokens, help="training tokens")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--workers", type=int, default=1 if torch.cuda.is_available() else 2, help="processes")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "quote", help="where the model goes")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "var" / "train_quote.pt", help="to go on from")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spawn(work, (args.workers, Path(folder) / "meeting", args), nprocs=args.workers)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
