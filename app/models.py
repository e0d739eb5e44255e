"""GET /v1/models: what a request may name."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from app.context import Here
from app.schema import Shape
from app.services import ModelCard

router = APIRouter(tags=["models"])

ModelPath = Annotated[str, Path(description="The model's id, slashes and all.")]


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
    return ModelList(data=[shown(card) for card in context.services.models.values()])


@router.get("/v1/models/{id:path}", summary="Tell of one model", response_description="The model")
async def model(id: ModelPath, context: Here) -> Model:
    """Return one of the models, as the list shows it."""
    return shown(context.card(id))


def shown(card: ModelCard) -> Model:
    """The card as the API shows it."""
    return Model(id=card.id, created=card.created, raglan=ModelFacts(context=card.context, prompt=card.prompt))
