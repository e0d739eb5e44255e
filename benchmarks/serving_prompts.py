"""The fixed questions of the serving benchmark, and the requests that make every server's engine read the same prompt.

The evidence is found once, in this process, by the profile's own retriever and reranker over the handbook.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.collection import Collection
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.prompt import PromptBook, load_templates, token_counter
from rag.rerank import MaxSimReranker, RerankConfig
from rag.retrieve import HybridRetriever, RetrieveConfig
from rag.store import StoreConfig, open_store
from rag.types import Message, RequestSettings

QUESTIONS = (
    "Why does the Retriever run exactly one replica when the store is embedded?",
    "What happens to a generation whose LLM replica dies before the first token?",
    "Which documents does a search of a tenant see?",
    "How does the Reranker decide the order of the passages?",
    "What does the engine argument stream_interval do?",
    "Where does the Ingress render the prompt and mask the answer?",
    "How many sentences may wait for their verdict before Raglan stops reading from the engine?",
    "What does the setting http.request_timeout_s bound?",
    "What happens in the engine when a client closes the connection?",
    "Which secrets and personal data does the masker replace?",
    "How are the shards of one replica placed?",
    "What must be set so that a browser application on another origin can call Raglan?",
    "How are documents cut into passages?",
    "How is the score of the dense side added to the score of BM25?",
    "What happens to a blocked sentence of an answer?",
    "Why do documents survive a restart of Raglan?",
)
PLAIN = "passages@1"
"""A template that, without evidence, leaves the user's message as it is, behind its system message."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question. `system` and `prompt` are what the engine reads, whichever server it stands behind."""

    question: str
    system: str
    prompt: str

    def plain(self) -> list[dict[str, str]]:
        """The messages for a server that hands them on as they are."""
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.prompt}]

    def bare_turn(self) -> list[dict[str, str]]:
        """The messages for Raglan without retrieval, whose template PLAIN puts `system` before them."""
        return [{"role": "user", "content": self.prompt}]

    def asked(self) -> list[dict[str, str]]:
        """The messages for the whole of Raglan, which makes `prompt` of the question and keeps earlier messages."""
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.question}]


async def find_cases(args: Mapping[str, Any], root: Path, index: Path, max_tokens: int) -> list[Case]:
    """Every question with the prompt that a profile with these builder `args` makes of it from `index`.

    The index must not be open elsewhere. Raises ValueError when the profile's first model has a prompt with a system
    message: then the servers' prompts could not be made equal.
    """
    model = args["models"][0]
    embed = EmbedConfig(**args.get("embed", {}))
    templates = load_templates(root / "prompts")
    if templates[model["prompt"]].system:
        raise ValueError(f"models[0].prompt: {model['prompt']} has a system message, the benchmark needs one without")
    count = token_counter(root / model["source"] / "tokenizer.json")
    book = PromptBook(templates, {model["id"]: model["context"]}, {model["id"]: count})
    settings = RetrieveConfig(**args.get("retrieve", {})).defaults(model["id"], model["prompt"])
    embedder = SentenceEmbedder(embed)
    embedder.load()
    reranker = MaxSimReranker(embedder, RerankConfig(**args.get("rerank", {})))
    collection = Collection(index, StoreConfig().collection)
    store = open_store(StoreConfig(path=collection.engine(collection.current())), embed.dimensions)
    try:
        retriever = HybridRetriever(store)
        cases = []
        for question in QUESTIONS:
            [asked] = await embedder.embed_questions([question])
            hits = await retriever.retrieve(question, asked.vector, settings)
            hits = await reranker.rerank(question, hits, settings, asked.tokens)
            (written,) = book.write([Message("user", question)], hits, settings, max_tokens)
            cases.append(case(book, settings, question, written.content))
        return cases
    finally:
        await store.close()


def case(book: PromptBook, settings: RequestSettings, question: str, prompt: str) -> Case:
    """The case of `question`, whose prompt without a system message is `prompt`."""
    plain = RequestSettings(settings.model, PLAIN)
    system, user = book.write([Message("user", prompt)], (), plain, 1)
    return Case(question, system.content, user.content)
