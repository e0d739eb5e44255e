"""API keys: who gets in, what stays open, and that tenants do not see each other."""

import hmac
from collections.abc import Sequence

import httpx
import pytest
import yaml

from app import keys
from app.application import create_app
from app.auth import digest, holder
from app.services import HttpConfig, KeyConfig
from guardrails.policy import Policy, parse_policy
from rag.fakes import FakeGuard
from rag.types import Message, RequestSettings, Vector, Verdict
from tests.app.world import FakeTracer, browser, fake_services, question

ADA, BOB = "rgl-ada", "rgl-bob"
KEYS = (
    KeyConfig(name="ada", sha256=digest(ADA), tenant="red"),
    KeyConfig(name="bob", sha256=digest(BOB), tenant="blue"),
)
CONFIG = HttpConfig(api_keys=KEYS)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


PATHS = ("/v1/models", "/v1/documents", "/v1/chat/completions", "/nothing", "/docs/", "/page", "/v1/reviews")
WRONG = (bearer("wrong"), bearer(""), {"Authorization": ADA}, {"Authorization": f"Basic {ADA}"}, bearer("ü" * 9))


@pytest.mark.parametrize(("path", "headers"), [*((path, {}) for path in PATHS), *((PATHS[0], h) for h in WRONG)])
async def test_without_a_valid_key_nothing_is_served(path: str, headers: dict[str, str]) -> None:
    async with browser(fake_services(CONFIG)) as client:
        raw = [(k.encode(), v.encode()) for k, v in headers.items()]
        response = await client.get(path, headers=raw)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-request-id"]
    assert response.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/reviews", "/page/main.js", "/docs", "/openapi.json"])
async def test_what_is_open(path: str) -> None:
    async with browser(fake_services(CONFIG)) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/v1/models", 401)])
async def test_the_same_is_open_under_a_prefix(path: str, status: int) -> None:
    transport = httpx.ASGITransport(create_app(fake_services(CONFIG)), root_path="/raglan")
    async with httpx.AsyncClient(transport=transport, base_url="http://raglan.test") as client:
        assert (await client.get(f"/raglan{path}")).status_code == status


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_valid_key(scheme: str) -> None:
    async with browser(fake_services(CONFIG)) as client:
        response = await client.get("/v1/models", headers={"Authorization": f"{scheme} {BOB}"})
    assert response.status_code == 200


async def test_tenants_do_not_see_each_other() -> None:
    document = {"id": "secret", "text": "Replicas scale on ongoing requests."}
    async with browser(fake_services(CONFIG)) as client:
        await client.post("/v1/documents", json={"documents": [document]}, headers=bearer(ADA))
        for key, count in ((ADA, 1), (BOB, 0)):
            listed = await client.get("/v1/documents", headers=bearer(key))
            found = await client.post("/v1/search", json={"query": "replicas"}, headers=bearer(key))
            answer = await client.post("/v1/chat/completions", json=question(), headers=bearer(key))
            assert len(listed.json()["data"]) == count
            assert len(found.json()["hits"]) == count
            assert len(answer.json()["raglan"]["passages"]) == count
        assert (await client.delete("/v1/documents/secret", headers=bearer(BOB))).status_code == 404
        assert (await client.delete("/v1/documents/secret", headers=bearer(ADA))).status_code == 200


async def test_the_key_names_the_user_and_the_body_cannot() -> None:
    tracer = FakeTracer()
    async with browser(fake_services(CONFIG, tracer=tracer)) as client:
        await client.post("/v1/chat/completions", json=question(user="eve"), headers=bearer(ADA))
    (opened,) = tracer.opened
    assert (opened["user"], opened["tenant"], opened["end_user"]) == ("ada", "red", "eve")


@pytest.mark.parametrize("key", [ADA, BOB, "wrong", ""])
def test_every_key_is_compared_in_constant_time(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared, compare = [], hmac.compare_digest

    def spy(a: str, b: str) -> bool:
        compared.append(b)
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    holder(key, KEYS)
    assert compared == [k.sha256 for k in KEYS]


def test_a_new_key_is_shown_once_with_an_entry_that_lets_it_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["it's me", "--tenant", "red"]) == 0
    shown, _, entry = capsys.readouterr().out.partition("\n")
    key = shown.rpartition(" ")[2]
    (config,) = yaml.safe_load(entry.partition("\n")[2])
    held = holder(key, [KeyConfig(**config)])
    assert held
    assert (held.name, held.tenant) == ("it's me", "red")
    assert key not in entry


def test_a_bad_key_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        keys.main(["x" * 65])
    assert "name" in capsys.readouterr().err


EVE = "rgl-eve"
GROUPED = HttpConfig(
    api_keys=(*KEYS, KeyConfig(name="eve", sha256=digest(EVE), tenant="red", groups=("ops", "hr"))),
)


async def test_groups_hide_documents_from_the_rest_of_the_tenant() -> None:
    document = {"id": "secret", "text": "Replicas scale on ongoing requests.", "groups": ["ops"]}
    async with browser(fake_services(GROUPED)) as client:
        added = await client.post("/v1/documents", json={"documents": [document]}, headers=bearer(EVE))
        assert added.status_code == 201
        for key, count in ((ADA, 0), (BOB, 0), (EVE, 1)):
            listed = await client.get("/v1/documents", headers=bearer(key))
            found = await client.post("/v1/search", json={"query": "replicas"}, headers=bearer(key))
            answer = await client.post("/v1/chat/completions", json=question(), headers=bearer(key))
            assert len(listed.json()["data"]) == len(found.json()["hits"]) == count
            assert len(answer.json()["raglan"]["passages"]) == count
        taken = await client.post(
            "/v1/documents", json={"documents": [{"id": "secret", "text": "mine"}]}, headers=bearer(ADA)
        )
        assert (taken.status_code, taken.json()["error"]["param"]) == (409, "documents[0].id")
        assert (await client.delete("/v1/documents/secret", headers=bearer(ADA))).status_code == 404
        assert (await client.delete("/v1/documents/secret", headers=bearer(EVE))).status_code == 200


async def test_a_file_whose_id_is_taken_is_named() -> None:
    document = {"id": "secret.txt", "text": "Replicas scale.", "groups": ["ops"]}
    files = [("files", ("mine.txt", b"mine")), ("files", ("secret.txt", b"mine"))]
    async with browser(fake_services(GROUPED)) as client:
        await client.post("/v1/documents", json={"documents": [document]}, headers=bearer(EVE))
        taken = await client.post("/v1/documents", files=files, headers=bearer(ADA))
    assert (taken.status_code, taken.json()["error"]["param"]) == (409, "files[1]")


async def test_only_own_groups_can_be_given() -> None:
    documents = [{"text": "a", "groups": ["hr"]}, {"text": "b", "groups": ["ops", "board"]}]
    async with browser(fake_services(GROUPED)) as client:
        refused = await client.post("/v1/documents", json={"documents": documents}, headers=bearer(EVE))
        assert (refused.status_code, refused.json()["error"]["param"]) == (403, "documents[1].groups")
        assert (await client.get("/v1/documents", headers=bearer(EVE))).json()["data"] == []


@pytest.mark.parametrize("extra", [{"tenant": "red"}, {"groups": ["ops"]}, {"filter": {"groups": "ops"}}])
async def test_no_body_names_a_tenant_or_a_group(extra: dict[str, object]) -> None:
    async with browser(fake_services(GROUPED)) as client:
        found = await client.post("/v1/search", json={"query": "replicas", **extra}, headers=bearer(BOB))
        asked = await client.post("/v1/chat/completions", json=question(raglan=extra), headers=bearer(BOB))
    assert found.status_code == asked.status_code == 400


def test_a_key_with_groups_prints_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["ada", "--tenant", "red", "--group", "ops", "--group", "hr"]) == 0
    [entry] = yaml.safe_load(capsys.readouterr().out.partition("YAML:\n")[2])
    assert KeyConfig.model_validate(entry).groups == ("ops", "hr")


def test_a_reviewers_key_prints_its_role(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["rita", "--role", "reviewer"]) == 0
    [entry] = yaml.safe_load(capsys.readouterr().out.partition("YAML:\n")[2])
    assert KeyConfig.model_validate(entry).roles == ("reviewer",)
    with pytest.raises(SystemExit):
        keys.main(["rita", "--role", "king"])


def test_a_batch_key_prints_its_class(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["night", "--batch"]) == 0
    [entry] = yaml.safe_load(capsys.readouterr().out.partition("YAML:\n")[2])
    assert KeyConfig.model_validate(entry).priority == "batch"


async def test_a_key_meets_its_own_policy_and_the_answer_and_the_trace_name_it() -> None:
    seen: list[RequestSettings] = []

    class Seeing(FakeGuard):
        async def check(self, messages: Sequence[Message], vector: Vector, settings: RequestSettings) -> Verdict:
            seen.append(settings)
            return Verdict(True)

    change = {"input": {"pii": {"action": "mask"}}, "output": {"enabled": False}}
    config = HttpConfig(api_keys=(KEYS[0], KEYS[1].model_copy(update={"policy": change})))
    services = fake_services(config, {"guard": Seeing()})
    async with browser(services) as client:
        digests = []
        for key in (ADA, BOB):
            response = await client.post("/v1/chat/completions", json=question(), headers=bearer(key))
            digests.append(response.json()["raglan"]["guard"]["policy"])
    assert [s.policy_digest for s in seen] == digests
    assert isinstance(services.tracer, FakeTracer)
    assert [opened["policy"] for opened in services.tracer.opened] == digests
    assert digests == [Policy().digest, Policy().changed(change).digest]
    assert [parse_policy(s.policy) for s in seen] == [Policy(), Policy().changed(change)]
    assert [s.validate for s in seen] == [True, False]
