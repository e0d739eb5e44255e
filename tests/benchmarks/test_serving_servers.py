"""The servers' configurations, and that each makes its engine read the same prompt. Nothing is started."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import serving_servers
from benchmarks.serving import names, numbers, rate
from benchmarks.serving_prompts import PLAIN, Case, case
from benchmarks.serving_servers import BASELINE, ROOT, SERVERS, TUNED, TUNING, Bench, environment, flags
from deployments.settings import Settings
from rag.prompt import PromptBook, load_templates
from rag.types import Hit, Message, Passage, RequestSettings, Sentence

TEXT = "The crossing takes 35 minutes."
HITS = (Hit(Passage("p", "d", TEXT), 1.0, sentences=(Sentence(0, len(TEXT), 1.0),)),)
QUESTION = "How long does the crossing take?"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(serving_servers, "free_port", lambda: 4321)
    profile = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    return Bench(ROOT, profile, environment(), tmp_path, tmp_path / "index", 64, {"enable_prefix_caching": False})


def book() -> PromptBook:
    return PromptBook(load_templates(ROOT / "prompts"), {"quote": 2048}, {"quote": len})


def the_case() -> Case:
    settings = RequestSettings("quote", "quote@1")
    (asked,) = book().write([Message("user", QUESTION)], HITS, settings, 64)
    return case(book(), settings, QUESTION, asked.content)


def conversation(body: dict[str, Any]) -> list[Message]:
    return [Message(m["role"], m["content"]) for m in body["messages"]]


def config(bench: Bench, name: str) -> dict[str, Any]:
    SERVERS[name].command(bench)
    found: dict[str, Any] = yaml.safe_load((bench.folder / "serve.yaml").read_text())
    return found


def test_every_engine_reads_the_same_prompt(bench: Bench) -> None:
    plain = SERVERS[BASELINE].body(bench, the_case())
    bare = SERVERS["raglan-bare"].body(bench, the_case())
    whole = SERVERS["raglan"].body(bench, the_case())
    wanted = tuple(conversation(plain))
    assert TEXT in wanted[-1].content
    assert book().write(conversation(bare), (), RequestSettings("quote", PLAIN), 64) == wanted
    assert book().write(conversation(whole), HITS, RequestSettings("quote", "quote@1"), 64) == wanted
    assert bare["raglan"] == {"retrieve": False}


def test_raglans_configurations_are_valid_and_differ_in_rails_and_prompt_only(bench: Bench) -> None:
    bare, whole = (config(bench, name)["applications"][0]["args"] for name in ("raglan-bare", "raglan"))
    off, on = Settings.load(bare), Settings.load(whole)
    assert (off.policy.input.enabled, off.policy.output.enabled, off.models[0].prompt) == (False, False, PLAIN)
    assert (on.policy.input.enabled, on.policy.output.enabled, on.models[0].prompt) == (True, True, "quote@1")
    assert off.models[0].engine == on.models[0].engine
    assert on.models[0].engine["enable_prefix_caching"] is False
    assert (off.admission.enabled, on.admission.enabled) == (False, False)


def test_only_the_tuned_ray_app_has_raglans_tuning(bench: Bench) -> None:
    tuned, stock = SERVERS[TUNED].command(bench), SERVERS["serve-llm"].command(bench)
    assert all(name in tuned.env for name in TUNING)
    assert not any(name in stock.env for name in TUNING)
    assert set(TUNING) <= set(stock.unset)
    llm, plain = (config(bench, name)["applications"][0]["args"]["llm_configs"][0] for name in (TUNED, "serve-llm"))
    assert llm["experimental_configs"] == {"stream_batching_interval_ms": 0}
    assert llm["engine_kwargs"]["stream_interval"] == bench.model["engine"]["stream_interval"]
    assert "stream_interval" not in plain["engine_kwargs"]


def test_every_ray_server_says_how_it_authenticates_and_shares_no_proxy(bench: Bench) -> None:
    for name in ("serve-llm", TUNED, "raglan-bare", "raglan"):
        command = SERVERS[name].command(bench)
        assert command.env["RAY_AUTH_MODE"] == "token"
        assert command.env["RAY_AUTH_TOKEN_PATH"].startswith(str(bench.folder))
        proxy = [value for key, value in command.env.items() if "HAPROXY" in key and "/" in value]
        assert proxy
        assert all(value.startswith(str(bench.folder)) for value in proxy)
        assert "LANGFUSE_SECRET_KEY" in command.unset


def test_a_command_line_sets_and_takes_away_variables_first(bench: Bench) -> None:
    line = SERVERS["serve-llm"].command(bench).line
    assert line[0] == "env"
    assert line.index("RAY_SERVE_ENABLE_HA_PROXY") < line.index("RAY_AUTH_MODE=token") < line.index("-m")


def test_engine_arguments_become_flags() -> None:
    arguments = {"enforce_eager": True, "enable_prefix_caching": False, "max_num_seqs": 32, "extra": {"a": 1}}
    words = ["--enforce-eager", "--no-enable-prefix-caching", "--max-num-seqs", "32", "--extra", '{"a": 1}']
    assert flags(arguments) == words


def test_arguments_of_the_command_line_are_checked() -> None:
    assert numbers("1,8") == [1, 8]
    assert names("raglan,vllm") == ["vllm", "raglan"]
    assert rate("1.5") == 1.5
    with pytest.raises(ValueError):
        numbers("0")
    for wrong in ("0", "-1", "nan", "inf"):
        with pytest.raises(ValueError):
            rate(wrong)
    with pytest.raises(Exception, match="no such server: nginx"):
        names("nginx")
