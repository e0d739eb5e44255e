"""The configuration page says what the settings say."""

from pydantic import BaseModel

from deployments.reference import reference_page, sections
from deployments.settings import ROOT, Settings


def test_the_page_is_what_the_generator_writes() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == reference_page(), "run `make config-reference`"


def test_every_setting_is_described_once() -> None:
    names = [field.name for section in sections(Settings.model_json_schema()) for field in section.fields]
    assert len(names) == len(set(names))
    expected = {
        "retrieve.top_k",
        "models[].source",
        "http.api_keys[].sha256",
        "policy.output.leaks.action",
        "stage_timeout_s",
    }
    assert expected <= set(names)
    for section in sections(Settings.model_json_schema()):
        for field in section.fields:
            assert field.description, field.name


def test_a_setting_is_told_in_a_sentence_and_in_a_table() -> None:
    page = reference_page()
    default = Settings.model_fields["retrieve"].default
    assert isinstance(default, BaseModel)
    top_k = default.model_dump()["top_k"]
    assert f"- The default of `retrieve.top_k` is `{top_k}`, and a value must be at least 1 and at most 50." in page
    assert f"| `retrieve.top_k` | integer | `{top_k}` | at least 1, at most 50 |" in page
    assert "- The setting `models[].id` is required" in page
    assert "- The setting `models[].accelerator_type` is unset by default." in page


def test_no_secret_has_a_default_on_the_page() -> None:
    for section in sections(Settings.model_json_schema()):
        for field in section.fields:
            if "secret" in field.type:
                assert field.default in ("", None), field.name
