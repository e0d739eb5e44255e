from pathlib import Path

import pytest
from pydantic import ValidationError

from guardrails.policy import Policy, load_policy, merged, parse_policy


def test_the_shipped_file_spells_out_the_defaults() -> None:
    assert load_policy() == Policy()


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("input: {phrases: {action: flag}}")
    policy = load_policy(path)
    assert policy.input.phrases.action == "flag"
    assert policy.input.length == Policy().input.length


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"input": {"jailbreak": {"action": "block"}}}, "input.jailbreak"),
        ({"input": {"repetition": {"threshold": 1.5}}}, "input.repetition.threshold"),
        ({"input": {"phrases": {"action": "maybe"}}}, "input.phrases.action"),
        ({"input": {"phrases": {"action": "mask"}}}, "input.phrases.action"),
        ({"input": {"phrases": {"action": True}}}, "input.phrases.action"),
        ({"passages": {"hidden": {"action": "block"}}}, "passages.hidden.action"),
        ({"output": {"leaks": {"budget_ms": 0}}}, "output.leaks.budget_ms"),
        ({"output": {"leaks": {"words": 1}}}, "output.leaks.words"),
        ({"output": {"groundedness": {"on_error": "ajar"}}}, "output.groundedness.on_error"),
        ({"output": {"refusal": ""}}, "output.refusal"),
        ({"outputs": {}}, "outputs"),
        ({"input": "off"}, "input"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as error:
        Policy().changed(change)
    assert [".".join(map(str, e["loc"])) for e in error.value.errors()] == [field]


def test_a_policy_travels_as_what_differs() -> None:
    assert Policy().text == "{}"
    changed = Policy().changed({"output": {"leaks": {"canaries": ["X"]}}, "input": {"enabled": False}})
    assert len(changed.text) < 100
    assert parse_policy(changed.text) == changed
    assert parse_policy("{}") == Policy()


@pytest.mark.parametrize(
    ("entry", "on_error"),
    [
        ({}, "open"),
        ({"action": "mask"}, "closed"),
        ({"action": "block"}, "closed"),
        ({"action": "block", "on_error": "open"}, "open"),
        ({"on_error": "closed"}, "closed"),
    ],
)
@pytest.mark.parametrize("base", [Policy(), load_policy()])
def test_a_check_fails_by_its_action_unless_told_otherwise(base: Policy, entry: dict[str, str], on_error: str) -> None:
    policy = base.changed({"input": {"harm": {"budget_ms": 7}}}).changed({"input": {"pii": entry}})
    for travelled in (policy, parse_policy(policy.text)):
        assert travelled == policy
        assert travelled.input.pii.on_error == on_error
    assert policy.changed({"input": {"pii": {"action": "flag"}}}).input.pii.on_error == entry.get("on_error", "open")


def test_the_documented_defaults_of_on_error_are_those_of_the_action() -> None:
    for side in (Policy().input, Policy().passages, Policy().output):
        for _, check in side.checks():
            assert type(check).model_fields["on_error"].default == check.on_error


def test_off_is_off_though_yaml_reads_false(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("input: {phrases: {action: off}}\noutput: {rails: {action: off}}")
    policy = load_policy(path)
    assert (policy.input.phrases.action, policy.output.rails.action) == ("off", "off")


def test_any_field_changes_the_digest() -> None:
    changes = [{}, {"input": {"enabled": False}}, {"output": {"refusal": "No."}}, {"input": {"pii": {"budget_ms": 7}}}]
    digests = [Policy().changed(change).digest for change in changes]
    assert len(set(digests)) == len(changes)
    assert all(len(digest) == 12 for digest in digests)


def test_a_change_goes_over_mapping_by_mapping_and_replaces_lists() -> None:
    assert merged({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}, "d": 2}


def test_checks_that_are_off_are_not_made() -> None:
    policy = Policy().changed({"input": {"hidden": {"action": "off"}}})
    names = [name for name, _ in policy.input.checks()]
    assert names == ["length", "repetition", "phrases", "injection", "harm", "topics", "secrets", "pii"]
