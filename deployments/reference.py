"""`python -m deployments.reference`: prints docs/configuration.md, written from the settings' JSON schema.

Each section is a table for people and one sentence per field, since the demo answers in whole sentences.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployments.settings import Settings

Schema = Mapping[str, Any]

INTRODUCTION = """\
# Configuration

<!-- Written by `make config-reference` from the settings; do not edit. -->

Every setting of Raglan stands under `args` of the application in a Serve YAML, such as `cluster/local.yaml`.
A dotted name such as `retrieve.top_k` means the key `top_k` in the section `retrieve`.
Raglan validates all settings before anything starts, and refuses an unknown setting with an error that names it.
A setting that a Serve YAML leaves out has its default.
A change of these settings takes effect after `serve deploy`, which replaces the replicas a few at a time.
Bounds on replicas and queue lengths are Ray Serve's own options, under `deployments` of the Serve YAML.
To turn tracing on, set `LANGFUSE_PUBLIC_KEY` and `LANGFUSE_SECRET_KEY`, and `LANGFUSE_BASE_URL` for your own server.
The variable `QDRANT_API_KEY` gives the Qdrant server's key, so that the Serve YAML need not hold it.
A value in the Serve YAML wins over its environment variable.

```yaml
applications:
  - name: raglan
    import_path: deployments.application:build
    args:
      models:
        - {id: quote, source: models/quote, prompt: quote@1, context: 2048, accelerator: cpu}
      retrieve:
        top_k: 4
```
"""
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "{} or more entries",
    "maxItems": "{} or fewer entries",
    "minLength": "{} or more characters",
    "maxLength": "{} or fewer characters",
    "pattern": "matches `{}`",
}
NUMERIC = ("at least", "above", "at most", "below")
EMPTY: Mapping[str, Any] = {"object": {}, "array": []}
"""What a default factory makes; the schema does not tell."""
OUTSIDE = "These settings stand directly under `args`."
UNSET = object()


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: its full name, its type in words, its default (UNSET: required), its bounds and what it does."""

    name: str
    type: str
    default: Any
    bounds: tuple[str, ...]
    description: str

    @property
    def value(self) -> str:
        """The default as a Serve YAML may show it."""
        if self.default is UNSET:
            return "required"
        text = self.default if isinstance(self.default, str) and self.default else json.dumps(self.default)
        return f"`{text}`"

    def row(self) -> str:
        """A row of the section's table."""
        cells = (f"`{self.name}`", self.type, self.value, ", ".join(self.bounds), self.description)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def sentence(self) -> str:
        """The field in one sentence that can be quoted."""
        limits = " and ".join(bound for bound in self.bounds if bound.startswith(NUMERIC))
        within = f", and a value must be {limits}" if limits else ""
        if self.default is UNSET:
            return f"- The setting `{self.name}` is required{within}."
        if self.default is None or self.default in ("", [], {}):
            return f"- The setting `{self.name}` is {'unset' if self.default is None else 'empty'} by default{within}."
        if " " in self.value:
            return f"- The setting `{self.name}` has a default text, which the table shows."
        return f"- The default of `{self.name}` is {self.value}{within}."


@dataclass(frozen=True, slots=True)
class Section:
    """A group of settings under one name."""

    name: str
    description: str
    fields: tuple[Field, ...]

    def text(self) -> str:
        """The section in markdown."""
        if not self.fields:
            return f"## {self.name}\n\n{self.description}\n"
        head = ["| setting | type | default | bounds | meaning |", "| --- | --- | --- | --- | --- |"]
        table = [*head, *(field.row() for field in self.fields)]
        sentences = [field.sentence() for field in self.fields]
        return "\n".join([f"## {self.name}", "", self.description, "", *table, "", *sentences, ""])


def sections(schema: Schema) -> Iterator[Section]:
    """The settings by section, in the order of their declaration; those outside a section come first."""
    plain = {name: node for name, node in schema["properties"].items() if not reference(node)}
    yield Section("Settings outside a section", OUTSIDE, tuple(fields("", schema, plain)))
    yield from nested("", schema, schema["$defs"])


def nested(prefix: str, schema: Schema, definitions: Schema) -> Iterator[Section]:
    """The sections that the properties of `schema` open, and those within them."""
    for name, node in schema["properties"].items():
        if target := reference(node):
            inner = definitions[target]
            path = prefix + name + {"array": "[]", "object": ".NAME"}.get(node.get("type", ""), "")
            plain = {n: p for n, p in inner["properties"].items() if not reference(p)}
            yield Section(f"`{path}`", inner["description"], tuple(fields(f"{path}.", inner, plain)))
            yield from nested(f"{path}.", inner, definitions)


def fields(prefix: str, schema: Schema, nodes: Mapping[str, Schema]) -> Iterator[Field]:
    """The settings `nodes` of one section."""
    required = schema.get("required", ())
    for name, node in nodes.items():
        choices = [node, *(n for n in node.get("anyOf", ()) if n.get("type") != "null")]
        bounds = [words.format(c[key]) for c in choices for key, words in BOUNDS.items() if key in c]
        description = node.get("description", "")
        default = UNSET if name in required else node.get("default", EMPTY.get(node.get("type", "")))
        full = description if description.endswith(".") or not description else f"{description}."
        yield Field(prefix + name, type_of(node), default, tuple(bounds), full)


def reference(node: Schema) -> str:
    """The definition that a property or its entries are made of; empty for a plain value."""
    values = node.get("additionalProperties")
    inner = values if isinstance(values, Mapping) else node.get("items", {})
    return str(node.get("$ref") or inner.get("$ref", "")).rpartition("/")[2]


def type_of(node: Schema) -> str:
    """A JSON schema's type in words."""
    kind = str(node.get("format", node.get("type", "")))
    match node:
        case {"anyOf": choices}:
            words = " or ".join(type_of(choice) for choice in choices)
        case {"enum": values}:
            words = " or ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            words = f"list of {type_of(items)}"
        case {"additionalProperties": Mapping() as inner}:
            words = f"mapping to {type_of(inner)}"
        case _:
            words = {"object": "mapping", "password": "secret"}.get(kind, kind)
    return words


def reference_page() -> str:
    """The whole page, with a line break at its end."""
    return "\n".join([INTRODUCTION, *(section.text() for section in sections(Settings.model_json_schema()))])


if __name__ == "__main__":
    print(reference_page(), end="")
