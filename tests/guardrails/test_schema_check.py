import json
import time
from typing import Any

import pytest

from guardrails.schema_check import MAX_TEXT, schema_errors

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}, "age": {"type": "integer", "minimum": 0}},
    "patternProperties": {"^x-": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("value", "schema", "wrong"),
    [
        ({"name": "ada", "age": 3, "x-a": "b"}, PERSON, ""),
        ({"name": "Ada"}, PERSON, "pattern at /name"),
        ({"age": 3}, PERSON, "required at /"),
        ({"name": "ada", "age": -1}, PERSON, "minimum at /age"),
        ({"name": "ada", "more": 1}, PERSON, "additionalProperties at /"),
        ({"name": "ada", "x-a": 1}, PERSON, "type at /x-a"),
        ({"a": "secret"}, {"additionalProperties": {"type": "integer"}}, "type at /a"),
        ({"next": {"next": {}}}, TREE, ""),
        ({"next": {"other": {}}}, TREE, "additionalProperties at /next"),
        ([1, {"a": 2}, {"a": 2}], {"uniqueItems": True}, "uniqueItems at /"),
        ([1, True, "1"], {"uniqueItems": True}, ""),
        ({"a": [1, "b"]}, {"properties": {"a": {"items": {"type": "integer"}}}}, "type at /a/1"),
        ({"a": 1}, True, ""),
        ({"a": 1}, False, "None at /"),
    ],
)
def test_an_answer_is_held_against_its_schema(value: Any, schema: Any, wrong: str) -> None:
    assert schema_errors(json.dumps(value), json.dumps(schema)) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "not JSON, at character 0"),
        ('{"a": 1', "not JSON, at character 7"),
        ('```json\n{"a": 1}\n```', "not JSON, at character 0"),
        ("NaN", "not JSON"),
        ("[" * 50_000 + "]" * 50_000, "nested too deeply"),
        ("9" * 10_000, "not JSON"),
        (" " * (MAX_TEXT + 1), "too long to be checked"),
    ],
)
def test_what_is_no_json_is_told(text: str, wrong: str) -> None:
    assert schema_errors(text, "{}") == wrong


def doubling(levels: int, leaf: Any = None) -> dict[str, Any]:
    refs = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**refs, f"a{levels}": leaf or {}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a" * 40 + "!", {"pattern": "^(a|a)*$"}),
        ({"a" * 40 + "!": 1}, {"patternProperties": {"^(a|a)*$": {}}}),
        ({"a" * 40 + "!": 1}, {"patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False}),
        ([["a" * 14 + "!"]] * 2_000, {"items": {"items": {"not": {"pattern": "^(a|a)*$"}}}}),
        (1, doubling(30)),
        ([0] * 2_999 + [1], doubling(14, {"not": {"const": [0] * 3_000}})),
        (list(range(20_000)), doubling(14, {"uniqueItems": True})),
        ([-1] * 20_000, {"items": {"not": {"enum": [0] * 3_000}}}),
        (1, {"$ref": "#"}),
    ],
)
def test_hostile_work_is_cut_off(value: Any, schema: Any) -> None:
    begin = time.perf_counter()
    assert schema_errors(json.dumps(value), json.dumps(schema)) == "too much work to be checked"
    assert time.perf_counter() - begin < 3


def test_many_different_items_are_compared_in_linear_time() -> None:
    begin = time.perf_counter()
    assert schema_errors(json.dumps([{"a": n} for n in range(10_000)]), '{"uniqueItems": true}') == ""
    assert time.perf_counter() - begin < 2


def test_many_choices_out_of_a_list_are_no_hostile_work() -> None:
    schema = {"items": {"enum": [f"state {n}" for n in range(50)]}, "uniqueItems": False}
    assert schema_errors(json.dumps(["state 49"] * 5_000), json.dumps(schema)) == ""


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/none"},
        {"pattern": "("},
    ],
)
def test_nothing_is_fetched_and_a_broken_schema_is_told(schema: Any) -> None:
    assert schema_errors('"a"', json.dumps(schema)) == "the schema cannot be read"
