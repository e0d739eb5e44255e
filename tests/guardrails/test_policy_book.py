import pytest
from pydantic import ValidationError

from guardrails.policy import Policy, parse_policy
from guardrails.policy_book import PolicyBook, PolicyUpdate

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
    book.reload({"input": {"secrets": {"action": "mask"}, "phrases": {"action": "flag"}}})
    everybody, strict = (parse_policy(book.of(change).text).input for change in ({}, STRICT))
    assert (everybody.secrets.action, everybody.phrases.action) == ("mask", "flag")
    assert (strict.secrets.action, strict.phrases.action) == ("block", "flag")
    book.reload({})
    assert book.of({}) == before


def test_a_wrong_reload_changes_nothing() -> None:
    book = PolicyBook(Policy(), [STRICT])
    before = dict(book.standing)
    with pytest.raises(ValidationError, match=r"input\.phrases\.action"):
        book.reload({"input": {"phrases": {"action": "maybe"}}})
    assert book.standing == before


def test_a_wrong_change_of_a_key_is_refused_at_start() -> None:
    with pytest.raises(ValidationError, match="jailbreak"):
        PolicyBook(Policy(), [{"input": {"jailbreak": {}}}])


def test_an_update_holds_nothing_but_a_policy() -> None:
    with pytest.raises(ValidationError):
        PolicyUpdate.model_validate({"polizy": {}})
