"""POST /v1/embeddings: the retriever's own unit vectors, in OpenAI's shape."""

import asyncio
import base64
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Response
from pydantic import Field, StrictStr

from app.context import Context, Here
from app.errors import UnknownModel
from app.schema import Closed, ModelId, Shape
from app.services import Services
from rag.errors import TooLarge
from rag.types import Vector

router = APIRouter(tags=["models"])

Text = Annotated[StrictStr, Field(min_length=1)]


class EmbeddingRequest(Closed):
    """Texts to embed."""

    model: ModelId
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=256, fail_fast=True)]
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[StrictStr, Field(max_length=256)] | None = None

    def texts(self) -> list[str]:
        """`input` as a list."""
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(Shape):
    """A unit vector: numbers, or the base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Shape):
    """Tokens of all texts by the model's tokenizer, special ones and those past the model's limit included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Shape):
    """A vector for each text, in order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


@router.post("/v1/embeddings", summary="Embed texts", response_description="The vectors", response_model=EmbeddingList)
async def embeddings(body: EmbeddingRequest, context: Here) -> Response:
    """Return each text's unit vector."""
    check(body, context)
    vectors, tokens = await context.attended(embed_and_count(body.texts(), context.services), "embed")
    encoded = body.encoding_format == "base64"
    data = [
        Embedding(index=n, embedding=base64_of(vector) if encoded else vector.tolist())
        for n, vector in enumerate(vectors)
    ]
    usage = EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens)
    result = EmbeddingList(data=data, model=body.model, usage=usage)
    return Response(result.model_dump_json(), 200, media_type="application/json")


def check(body: EmbeddingRequest, context: Context) -> None:
    """Raise UnknownModel or TooLarge."""
    services = context.services
    if body.model != services.embedding_model:
        name = services.embedding_model
        raise UnknownModel(f"There is no embedding model named '{body.model[:100]}'; there is '{name}'.", "model")
    limit = services.config.max_message_chars
    for n, text in enumerate(body.texts()):
        if len(text) > limit:
            raise TooLarge(f"A text may have {limit} characters.", f"input[{n}]" if body.input != text else "input")


async def embed_and_count(texts: list[str], services: Services) -> tuple[Vector, int]:
    """The texts' vectors and the number of all their tokens."""
    vectors = await services.embedder.embed(texts)
    return vectors, await asyncio.to_thread(lambda: sum(map(services.count_tokens, texts)))


def base64_of(vector: Vector) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
