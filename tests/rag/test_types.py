"""What crosses a stage boundary is the same on the other side."""

import pickle
from dataclasses import fields

import pytest
from ray import cloudpickle

from rag.types import Fact, Hit, Passage, Prompt, Sentence

PASSAGE = Passage("a:0", "a", "Text.", headings=("H",), metadata={"source": "s"})
HIT = Hit(PASSAGE, 0.5, sentences=(Sentence(0, 5, 1.0),))


@pytest.mark.parametrize("fact", [HIT, Prompt("m", ())])
def test_a_fact_is_the_same_on_the_other_side(fact: Fact) -> None:
    found = pickle.loads(cloudpickle.dumps(fact))
    assert found == fact
    assert type(found) is type(fact)


def test_every_fact_has_the_fields_that_its_pickle_reads() -> None:
    kinds = Fact.__subclasses__()
    assert Hit in kinds
    assert all(len(fields(kind)) >= 2 for kind in kinds)
