"""Listing, promotion, rollback and pruning of index versions, in folders and on a Qdrant server."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from rag.collection import Collection, state_folder
from rag.errors import NotFound
from rag.ingest_files import main as ingest
from rag.manifest import Manifest
from rag.sparse import document_vector
from rag.store import Entry
from rag.store_qdrant import QdrantStore
from rag.types import Passage
from rag.versions import before, main
from rag.versions_server import ServerEngine
from tests.rag.conftest import CountingEmbedder, stored


def entry(document: str, origin: str = "", text: str = "") -> Entry:
    passage = Passage(f"{document}:0", document, text or document, metadata={"origin": origin} if origin else {})
    return Entry(passage, np.array([1, 0, 0, 0], np.float32), document_vector(document))


def test_promotion_and_rollback(
    tmp_path: Path, counting: type[CountingEmbedder], capsys: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    index = tmp_path / "index"
    where = [f"--index={index}"]

    def run(text: str, *more: str) -> None:
        (docs / "a.md").write_text(text)
        assert ingest([str(docs), *where, "--dimensions=64", *more]) == 0

    def serving() -> str:
        return stored(index)[0].passage.text

    assert main(["rollback", *where]) == 2
    assert "no version before" in capsys.readouterr().err
    run("one")
    run("two")
    run("three", "--no-promote")
    assert serving() == "two"
    assert main(["list", *where]) == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line[0] for line in lines] == [" ", "*", " "]
    assert "1 documents" in lines[0]
    last = lines[2].split()[0]
    assert main(["promote", last, *where]) == 0
    assert serving() == "three"
    assert main(["rollback", *where]) == 0
    assert main(["rollback", *where]) == 0
    assert serving() == "one"
    assert main(["rollback", *where]) == 2
    with Collection(index, "raglan").job():
        assert main(["list", *where]) == 0
        for command in (["rollback"], ["promote", last]):
            assert main([*command, *where]) == 2
            assert "another job" in capsys.readouterr().err
    assert serving() == "one"
    assert main(["promote", "never", *where]) == 2
    assert "no version never" in capsys.readouterr().err


def test_old_versions_are_kept_up_to_a_bound(tmp_path: Path) -> None:
    collection = Collection(tmp_path, "raglan")
    made = versions(collection, 6)
    assert made == sorted(made) == collection.versions()
    collection.promote(made[2])
    collection.promote(made[3])
    collection.serve(made[0])
    assert collection.prunable(3) == [made[1], made[4], made[5]]
    assert collection.prunable(5) == [made[1]]
    assert collection.prunable(0) == [made[1], made[4], made[5]]
    assert collection.prunable(0, {made[5]}) == [made[1], made[4]]


def versions(collection: Collection, count: int) -> list[str]:
    made = []
    for _ in range(count):
        made.append(collection.start())
        collection.finish(Manifest(version=made[-1], created="", collection=collection.name))
    return made


def test_the_way_back_leads_to_what_served(tmp_path: Path) -> None:
    collection = Collection(tmp_path, "raglan")
    good, bad, unused, newer = versions(collection, 4)
    assert collection.before() == ""
    collection.promote(good)
    assert collection.before() == ""
    collection.promote(bad)
    collection.promote(collection.before(), back=True)
    assert (collection.current(), collection.before()) == (good, "")
    collection.promote(newer)
    assert collection.before() == good  # neither the bad one nor the one that never served
    collection.promote(unused)
    collection.remove(newer)
    assert collection.before() == good
    collection.promote(good)
    assert collection.before() == unused
    collection.promote(good)
    assert collection.before() == unused


def test_servers_have_folders_of_their_own() -> None:
    assert state_folder(Path("var"), "") == Path("var")
    assert state_folder(Path("var"), "http://a:6333") != state_folder(Path("var"), "http://b:6333")


async def server_version(engine: ServerEngine, collection: Collection, *documents: str) -> str:
    version = collection.start()
    store = await engine.open(version)
    await store.write([entry(document) for document in documents], settle=False)
    await store.settle()
    collection.finish(Manifest(version=version, created="", collection=collection.name))
    await engine.finish(version)
    return version


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
async def test_a_server_switches_by_its_alias(tmp_path: Path) -> None:
    client = AsyncQdrantClient(":memory:")
    collection = Collection(tmp_path, "team")
    engine = ServerEngine(client, collection, 4)

    async def seen() -> set[str]:
        return {info.id for info in await QdrantStore(client, "team", 4).documents("default")}

    plain = QdrantStore(client, "team", 4)
    await plain.write([entry("early", "api")])
    first = await server_version(engine, collection, "one")
    assert await engine.current() == ""
    await engine.promote(first)
    assert await seen() == {"one", "early"}

    await QdrantStore(client, "team", 4).write([entry("up", "api")])
    second = await server_version(engine, collection, "two")
    assert await engine.versions() == [first, second]
    await engine.promote(second)
    assert await engine.current() == collection.current() == second
    assert await seen() == {"two", "up", "early"}

    await QdrantStore(client, "team", 4).delete("early", "default")
    await engine.promote(await before(engine), back=True)
    assert await seen() == {"one", "up"}
    with pytest.raises(NotFound, match="no version before"):
        await before(engine)
    with pytest.raises(NotFound, match="no version nothing"):
        await engine.promote("nothing")
    third = await server_version(engine, collection, "three")
    await engine.promote(third)
    assert await before(engine) == collection.before() == first
    await engine.remove(second)
    assert await engine.versions() == collection.versions() == [first, third]
    await engine.promote(first)
    assert await before(engine) == third
    await engine.clear(third)
    assert await engine.versions() == [first]
    assert await engine.before() == ""
    await engine.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
def test_a_job_keeps_what_serves_on_the_server_whatever_this_machine_thinks(
    tmp_path: Path, counting: type[CountingEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = AsyncQdrantClient(":memory:")
    monkeypatch.setattr("rag.versions_server.connected", lambda url, key: client)

    async def stays() -> None:
        """The server outlives the job's connection."""

    monkeypatch.setattr(client, "close", stays)
    url = "http://qdrant:6333"
    collection = Collection(state_folder(tmp_path / "index", url), "raglan")
    docs = tmp_path / "docs"
    docs.mkdir()

    def run(text: str, *more: str) -> str:
        (docs / "a.md").write_text(text)
        where = [f"--index={tmp_path / 'index'}", f"--qdrant-url={url}", "--dimensions=64", "--keep=1"]
        assert ingest([str(docs), *where, *more]) == 0
        return collection.versions()[-1]

    first, second = run("one"), run("two")
    elsewhere = ServerEngine(client, Collection(tmp_path / "elsewhere", "raglan"), None)
    asyncio.run(elsewhere.promote(first, back=True))
    assert collection.current() == second
    third = run("three", "--no-promote")
    fourth = run("four", "--no-promote")
    assert asyncio.run(elsewhere.current()) == first
    assert asyncio.run(elsewhere.versions()) == [first, second, fourth]
    assert third not in collection.versions()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
async def test_what_is_uploaded_right_after_a_switch_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncQdrantClient(":memory:")
    collection = Collection(tmp_path, "team")
    engine = ServerEngine(client, collection, 4)
    serving = QdrantStore(client, "team", 4)
    first, second = [await server_version(engine, collection, name) for name in ("one", "two")]
    await engine.promote(first)
    await serving.write([entry("kept", "api"), entry("gone", "api"), entry("again", "api")])
    switch = client.update_collection_aliases

    async def switch_and_change(operations: Any) -> bool:
        done = await switch(operations)
        await serving.write([entry("late", "api"), entry("again", "api", "anew")])
        await serving.delete("gone", "default")
        return done

    monkeypatch.setattr(client, "update_collection_aliases", switch_and_change)
    await ServerEngine(client, collection, None).promote(second)
    assert {e.passage.document_id: e.passage.text async for page in serving.export() for e in page} == {
        "two": "two",
        "kept": "kept",
        "late": "late",
        "again": "anew",
    }
    await client.close()
