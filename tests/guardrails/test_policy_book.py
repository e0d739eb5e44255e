import pytest
from pydantic import ValidationError

from deployments.settings import over_shipped
from guardrails.policy import Policy, parse_policy
from guardrails.policy_book import PolicyBook

STRICT = {"input": {"secrets": {"action": "block"}}}
SHUT = {"output": {"enabled": False}}


def test_a_key_has_its_own_policy() -> None:
    book = PolicyBook(Policy(), [STRICT, SHUT])
    assert book.of({}).text == "{}"
    assert parse_policy(book.of(STRICT).text).input.secrets.action == "block"
    assert (book.of(SHUT).input, book.of(SHUT).output) == (True, False)
    assert len({book.of(change).digest for change in ({}, STRICT, SHUT)}) == 3


def test_a_reload_changes_what_keys_do_not() -> None:
    book = PolicyBook(Policy(), [STRICT])
    before = book.of({})
    changes = {"input": {"secrets": {"action": "mask"}, "phrases": {"action": "flag"}}}
    book.reload({"policy": changes}, running=True)
    everybody, strict = (parse_policy(book.of(change).text).input for change in ({}, STRICT))
    assert (everybody.secrets.action, everybody.phrases.action) == ("mask", "flag")
    assert (strict.secrets.action, strict.phrases.action) == ("block", "flag")
    assert (everybody.secrets.on_error, strict.phrases.on_error) == ("closed", "open")
    book.reload({}, running=True)
    assert book.of({}) == before


def test_a_serve_yaml_leaves_what_a_check_does_on_errors_to_its_action() -> None:
    base = Policy.model_validate(over_shipped({"input": {"pii": {"action": "mask"}}}))
    assert base.input.pii.on_error == "closed"
    assert parse_policy(PolicyBook(base, [STRICT]).of(STRICT).text).input.secrets.on_error == "closed"


@pytest.mark.parametrize(
    ("update", "field"),
    [
        ({"policy": {"input": {"phrases": {"action": "maybe"}}}}, "input.phrases.action"),
        ({"polizy": {}}, "polizy"),
        ({"policy": "off"}, "policy"),
    ],
)
def test_a_wrong_reload_changes_nothing_and_names_the_field(
    update: dict[str, object], field: str, caplog: pytest.LogCaptureFixture
) -> None:
    book = PolicyBook(Policy(), [STRICT])
    before = dict(book.standing)
    with pytest.raises(ValidationError):
        book.reload(update, running=False)
    book.reload(update, running=True)
    assert book.standing == before
    assert f"the running one stays: {field}: " in caplog.text
    digest = book.of({}).digest
    assert book.state.startswith(f"{digest}; the last change is refused: {field}: ")
    book.reload({}, running=True)
    assert book.state == digest


def test_a_wrong_change_of_a_key_is_refused_at_start() -> None:
    with pytest.raises(ValidationError, match="jailbreak"):
        PolicyBook(Policy(), [{"input": {"jailbreak": {}}}])
