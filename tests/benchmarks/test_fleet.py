"""The fleet simulation: repeatable, within its pools, and what it says of the three fleets."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fleet import FLEETS, NODES, OUTAGES, main, simulate, weekly_load
from benchmarks.fleet_world import STEP_S, PoolSpec, World

QUIET = PoolSpec("own", "here", 4, 1.0, 30, 0.0, owned=True)
CLOUD = PoolSpec("cloud", "there", 4, 3.0, 30, 0.0)


def test_owned_nodes_are_filled_first_and_given_back_last() -> None:
    load = np.concatenate([np.full(40, 40.0), np.full(200, 1.0)])
    record = World([CLOUD, QUIET], {}, 0).run(load)
    assert record.nodes[10] == {"own": 4, "cloud": 1}
    assert record.nodes[80] == {"own": 4}
    assert record.nodes[-1] == {"own": 1}


def test_cost_counts_owned_nodes_always_and_cloud_nodes_while_they_are_held() -> None:
    record = World([CLOUD, QUIET], {}, 0).run(np.full(240, 1.0))
    assert record.cost == pytest.approx(4 * 1.0)


def test_an_outage_moves_the_load_to_the_other_site() -> None:
    record = World([QUIET, CLOUD], {"here": (600.0, 1200.0)}, 0).run(np.full(200, 16.0))
    assert set(record.nodes[60]) == {"cloud"}
    assert record.lost_nodes == 2
    assert record.failed_starts > 0


def test_no_pool_ever_holds_more_than_it_has() -> None:
    load = weekly_load(3, 2)
    for pools in FLEETS.values():
        record = World(pools, OUTAGES, 3).run(load)
        for spec in pools:
            assert max(nodes.get(spec.name, 0) for nodes in record.nodes) <= spec.nodes


def test_every_fleet_has_a_thousand_gpus() -> None:
    assert {sum(pool.nodes for pool in pools) for pools in FLEETS.values()} == {NODES}


def test_hybrid_is_cheaper_than_either_and_serves_no_less() -> None:
    hybrid, cloud, onprem = simulate(7, 7)[0]
    assert hybrid.cost_per_million < min(cloud.cost_per_million, onprem.cost_per_million)
    assert hybrid.good_share > max(cloud.good_share, onprem.good_share)


def test_the_same_seed_gives_the_same_figures_and_writes_them(tmp_path: Path) -> None:
    main(["--days", "1", "--out", str(tmp_path)])
    written = json.loads((tmp_path / "fleet.json").read_text())
    assert [row["fleet"] for row in written["rows"]] == list(FLEETS)
    assert written["rows"][0]["goodput"] == simulate(7, 1)[0][0].goodput
    assert (tmp_path / "fleet.png").stat().st_size > 10_000
    assert len(weekly_load(7, 1)) == 86_400 / STEP_S
