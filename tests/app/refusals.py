"""What a right request to each route is, and what the refusal of a wrong one must look like."""

from typing import Any

from app.application import create_app
from app.services import HttpConfig
from tests.app.world import MODEL, fake_services

CHAT, SEARCH, EMBED, DOCUMENTS, FEEDBACK = (
    f"/v1/{name}" for name in ("chat/completions", "search", "embeddings", "documents", "feedback")
)
USER = {"role": "user", "content": "Why?"}
VALID: dict[str, dict[str, Any]] = {
    CHAT: {"model": MODEL, "messages": [USER]},
    SEARCH: {"query": "why"},
    EMBED: {"model": "fake-embedder", "input": "why"},
    DOCUMENTS: {"documents": [{"id": "a", "text": "because"}]},
    FEEDBACK: {"trace_id": "0" * 32, "rating": "up"},
}
CONFIG = HttpConfig(max_message_chars=1_000, max_messages=4, max_document_chars=2_000, max_body_bytes=100_000)
APP = create_app(fake_services(CONFIG))


def check(response: Any, code: str, param: str | None) -> None:
    """The envelope says what is wrong, and nothing of the inside."""
    assert 400 <= response.status_code < 500
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    for secret in ("/work", "/usr", "/tmp", "site-packages", "Traceback", ".py", "pydantic", "0x"):
        assert secret not in response.text
