"""GET /v1/models: what a request may name."""

from typing import Literal

from fastapi import APIRouter

from app.context import Here
from app.schema import Shape

router = APIRouter(tags=["models"])


class ModelFacts(Shape):
    """What Raglan adds. `context` is in tokens, question and answer together."""

    context: int
    prompt: str


class Model(Shape):
    """A model as OpenAI lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["raglan"] = "raglan"
    raglan: ModelFacts


class ModelList(Shape):
    """Every model that answers."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/v1/models", summary="List the models", response_description="The models")
async def models(context: Here) -> ModelList:
    """List the models that POST /v1/chat/completions takes."""
    cards = context.services.models.values()
    return ModelList(
        data=[Model(id=c.id, created=c.created, raglan=ModelFacts(context=c.context, prompt=c.prompt)) for c in cards]
    )
