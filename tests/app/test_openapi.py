"""/openapi.json is complete and true: schemathesis asks what it promises, rightly and wrongly, in process."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.application import create_app
from app.auth import digest
from app.services import HttpConfig, KeyConfig
from tests.app.world import browser, fake_services

CONFIG = {"generation": {"mode": "all", "deterministic": True}}
KEY = "rgl-key"
KEYS = HttpConfig(api_keys=(KeyConfig(name="ada", sha256=digest(KEY)),))

# What no schema can say: that a file can be read.
BEYOND_A_SCHEMA = ("/v1/documents",)


def described(config: HttpConfig) -> schemathesis.BaseSchema:
    made = schemathesis.Config.from_dict(CONFIG)
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(fake_services(config)), config=made)


few = settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
open_api, keyed_api = described(HttpConfig(review_without_key=True)), described(KEYS)


@open_api.parametrize()
@few
def test_the_api_does_what_its_description_says(case: schemathesis.Case) -> None:
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if case.path in BEYOND_A_SCHEMA else [])


@keyed_api.include(path="/v1/models").parametrize()
@few
def test_the_description_tells_of_keys(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"})


async def test_the_description_is_closed_and_complete() -> None:
    async with browser(fake_services(KEYS)) as client:
        api = (await client.get("/openapi.json")).json()
    told = {(method.upper(), path) for path, item in api["paths"].items() for method in item}
    assert told == {
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{id}"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/search"),
        ("POST", "/v1/documents"),
        ("GET", "/v1/documents"),
        ("DELETE", "/v1/documents/{id}"),
        ("POST", "/v1/feedback"),
        ("GET", "/v1/reviews"),
        ("GET", "/v1/reviews/dataset"),
        ("POST", "/v1/reviews/{id}"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }
    shapes = api["components"]["schemas"]
    bodies = ("ChatRequest", "Options", "SearchRequest", "EmbeddingRequest", "DocumentsRequest", "FeedbackRequest")
    for name in (*bodies, "Approval", "Correction", "Rejection"):
        assert shapes[name]["additionalProperties"] is False
    for path, item in api["paths"].items():
        for operation in item.values():
            assert operation["summary"]
            assert {"4XX", "5XX"} <= operation["responses"].keys()
            assert ("security" in operation) is path.startswith("/v1/")


@pytest.mark.parametrize("path", ["/v1/documents", "/v1/documents/x"])
async def test_every_method_of_a_path_is_allowed(path: str) -> None:
    async with browser(fake_services()) as client:
        response = await client.options(path)
    assert response.headers["allow"] == ("GET, POST" if path == "/v1/documents" else "DELETE")
