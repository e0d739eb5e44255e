"""Follow-ups about the handbook find their page from the real index; what stands alone is left alone."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.retrieval_sets import handbook
from benchmarks.retrieval_stages import corpus_vectors, cut
from rag.chunk import ChunkConfig
from rag.embed import SentenceEmbedder
from rag.errors import StageUnavailable
from rag.fakes import FakeLLM
from rag.followup import BORROWED, FollowupConfig, depends, rewrite, standalone
from rag.prompt import load_templates
from rag.retrieve import HybridRetriever, RetrieveConfig
from rag.store_edge import EdgeStore
from rag.tokens import TokenCache
from rag.types import Message, Piece, Prompt

ROOT = Path(__file__).parents[2]
TEMPLATE = load_templates(ROOT / "prompts")["standalone@1"]
CONFIG = FollowupConfig(mode="llm", model="big")
ALONE = [
    "What is goodput?",
    "How do I make an API key?",
    "Which file types can be uploaded?",
    "Why does Raglan drop a document when it is too long?",
    "What happens to a page that was deleted from the folder?",
    "Does the Validator slow the stream down?",
    "langfuse sample rate",
    "How many replicas may the Retriever have?",
    "Where does Ray Serve write its logs?",
    "Is there a limit on the size of an upload?",
    "How long may a chat message be?",
    "What does StoreLocked mean?",
    "Which settings restart the replicas when they change?",
    "Does the browser keep the API key after the tab closes?",
    "How do I turn off the Guard?",
    "StoreMismatch",
    "And how do I measure the retrieval quality on my own documents?",
    "Can this handbook be indexed by another embedder?",
]
LEANING = [
    "and how do I turn it off?",
    "Why?",
    "How long?",
    "What about PDFs?",
    "Is there a limit?",
    "And a single chat message?",
    "What if mine has another name?",
    "Can I change the default?",
    "Does it work on a phone?",
    "What does that cost?",
    "On Windows?",
    "How do I raise this?",
    "",
    "🙂",
]


@dataclass(frozen=True)
class Dialogue:
    pages: tuple[str, ...]
    messages: tuple[Message, ...]


def conversation(*turns: str) -> tuple[Message, ...]:
    return tuple(Message("assistant" if n % 2 else "user", turn) for n, turn in enumerate(turns))


def dialogues() -> list[Dialogue]:
    rows = map(json.loads, Path(__file__).with_name("followups.jsonl").read_text().splitlines())
    return [Dialogue(tuple(row["pages"]), conversation(*row["turns"])) for row in rows]


async def found(retriever: HybridRetriever, embedder: SentenceEmbedder, query: str) -> list[str]:
    """The pages of the three best documents."""
    settings = RetrieveConfig(min_score=0).defaults("", "")
    hits = await retriever.retrieve(query, embedder.encode([query])[0], settings)
    return list(dict.fromkeys(hit.passage.document_id for hit in hits))[:3]


async def test_follow_ups_find_their_page_among_the_first_three(
    embedder: SentenceEmbedder, tmp_path: Path, vector_cache: Path
) -> None:
    passages = cut(handbook(), ChunkConfig(), embedder)
    store = EdgeStore(tmp_path / "index", embedder.dimensions)
    retriever = HybridRetriever(store)
    try:
        await retriever.upsert(passages, corpus_vectors(passages, embedder, vector_cache, TokenCache(0)))
        asked = dialogues()
        raw = [await found(retriever, embedder, d.messages[-1].content) for d in asked]
        joined = [await found(retriever, embedder, standalone(d.messages)) for d in asked]
    finally:
        await store.close()
    missed = [standalone(d.messages) for d, at in zip(asked, joined, strict=True) if not set(at) & set(d.pages)]
    alone = sum(bool(set(at) & set(d.pages)) for d, at in zip(asked, raw, strict=True))
    print(
        f"right page among the first three: {len(asked) - len(missed)} of {len(asked)}, raw {alone}; missed: {missed}"
    )
    assert len(asked) >= 20
    assert len(missed) <= len(asked) // 10
    assert alone < len(asked) - len(missed)


@pytest.mark.parametrize("question", ALONE)
def test_what_stands_alone_is_left_alone(question: str) -> None:
    assert not depends(question)
    assert standalone(conversation("How do I trace requests?", "With Langfuse. [1]", question)) == question


@pytest.mark.parametrize("question", LEANING)
def test_what_leans_on_the_last_question_gets_its_words(question: str) -> None:
    query = standalone(conversation("How do I trace requests?", "With Langfuse. [1]", question))
    assert query.endswith(question)
    assert {"trace", "requests"} <= set(query.split())


def test_a_chain_of_follow_ups_goes_back_to_its_subject() -> None:
    query = standalone(
        conversation("Where does Langfuse run?", "Anywhere.", "And where is it configured?", "Here.", "Why?")
    )
    assert "Langfuse" in query


def test_a_long_question_says_enough_by_itself() -> None:
    assert standalone(conversation("How do I trace requests?", "So.", "it " * 10_000)) == "it " * 10_000


def test_an_answer_lends_what_it_names_in_code() -> None:
    query = standalone(
        conversation("How is it stopped?", "With `make down`, or `downscale_delay_s`.", "And how do I test it?")
    )
    assert query == "downscale_delay_s And how do I test it?"


def test_a_first_question_comes_back_as_it_is() -> None:
    assert standalone(conversation("and how do I turn it off?")) == "and how do I turn it off?"
    assert standalone((Message("system", "Be brief."), Message("user", "Why?"))) == "Why?"


@given(st.lists(st.text(max_size=200), min_size=1, max_size=9).filter(lambda turns: len(turns) % 2 == 1))
def test_the_last_message_always_stays_and_little_is_added(turns: list[str]) -> None:
    query = standalone(conversation(*turns))
    assert query.endswith(turns[-1])
    assert len(query[: len(query) - len(turns[-1])].split()) <= BORROWED


FOLLOW_UP = conversation("How do I trace requests?", "With Langfuse. [1]", "and how do I turn it off?")


async def test_a_model_rewrites_with_the_conversation_before_it() -> None:
    llm = FakeLLM('"How do I turn tracing off?"\nnothing more')
    assert await rewrite(FOLLOW_UP, llm, TEMPLATE, CONFIG) == "How do I turn tracing off?"
    [prompt] = llm.prompts
    assert (prompt.model, prompt.max_tokens) == ("big", CONFIG.max_tokens)
    assert prompt.messages[1].content.splitlines() == [
        "user: How do I trace requests?",
        "assistant: With Langfuse. [1]",
        "",
        "Last question: and how do I turn it off?",
    ]


@pytest.mark.parametrize("llm", [FakeLLM(errors=[StageUnavailable("llm")]), FakeLLM(" \n"), FakeLLM("so " * 400)])
async def test_the_rule_decides_where_the_model_fails(llm: FakeLLM) -> None:
    assert await rewrite(FOLLOW_UP, llm, TEMPLATE, CONFIG) == standalone(FOLLOW_UP)
    assert llm.closed == 1


class SilentLLM:
    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        await asyncio.Event().wait()
        yield Piece()


async def test_the_rule_decides_when_the_model_takes_too_long() -> None:
    config = CONFIG.model_copy(update={"timeout_s": 0.01})
    assert await rewrite(FOLLOW_UP, SilentLLM(), TEMPLATE, config) == standalone(FOLLOW_UP)


async def test_a_first_question_is_not_sent_to_the_model() -> None:
    llm = FakeLLM()
    assert await rewrite(conversation("Why?"), llm, TEMPLATE, CONFIG) == "Why?"
    assert llm.prompts == []


def test_mode_llm_needs_a_model() -> None:
    with pytest.raises(ValueError, match="mode 'llm' needs one"):
        FollowupConfig(mode="llm")


def test_yaml_reads_off_as_false_and_it_is_off() -> None:
    assert FollowupConfig.model_validate(yaml.safe_load("mode: off")).mode == "off"
