"""POST /v1/embeddings: the retriever's own unit vectors, in OpenAI's shape."""

import base64
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Response
from pydantic import Field, StrictStr

from app.context import Context, Here
from app.errors import UnknownModel
from app.schema import Closed, ModelId, Shape
from rag.errors import TooLarge
from rag.types import Vector

router = APIRouter(tags=["models"])

Text = Annotated[StrictStr, Field(min_length=1)]


class EmbeddingRequest(Closed):
    """Texts to embed."""

    model: ModelId
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
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
    """OpenAI's clients ask for it; the embedder counts no tokens, so both are 0."""

    prompt_tokens: Literal[0] = 0
    total_tokens: Literal[0] = 0


class EmbeddingList(Shape):
    """A vector for each text, in order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage = EmbeddingUsage()


@router.post("/v1/embeddings", summary="Embed texts", response_description="The vectors", response_model=EmbeddingList)
async def embeddings(body: EmbeddingRequest, context: Here) -> Response:
    """Return each text's unit vector."""
    check(body, context)
    vectors = await context.attended(vectors_of(body, context), "embed")
    encoded = body.encoding_format == "base64"
    data = [
        Embedding(index=n, embedding=base64_of(vector) if encoded else vector.tolist())
        for n, vector in enumerate(vectors)
    ]
    result = EmbeddingList(data=data, model=body.model)
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


async def vectors_of(body: EmbeddingRequest, context: Context) -> Vector:
    return await context.services.embedder.embed(body.texts())


def base64_of(vector: Vector) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
