"""What follows from cluster/gpu.yaml stands in the files as it is written."""

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.derived import CLOUD, RAY_SERVICE, SOURCE, one_site, ray_service
from deployments.settings import Settings

SERVE = SOURCE.read_text()
AGAIN = "run `make cluster-files`"


def test_the_ray_service_holds_the_serve_file() -> None:
    text = RAY_SERVICE.read_text()
    assert text == ray_service(text, SERVE), AGAIN
    assert yaml.safe_load(yaml.safe_load(text)["spec"]["serveConfigV2"]) == yaml.safe_load(SERVE)


def test_a_changed_serve_file_changes_the_ray_service_and_nothing_else_in_it() -> None:
    text = RAY_SERVICE.read_text()
    changed = ray_service(text, SERVE.replace("top_k: 8", "top_k: 9"))
    assert changed != text
    assert changed.replace("top_k: 9", "top_k: 8") == text
    assert ray_service(changed, SERVE) == text


def test_a_manifest_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="serveConfigV2"):
        ray_service("kind: RayService\n", SERVE)


def test_the_file_for_one_site_is_written_from_the_serve_file() -> None:
    assert CLOUD.read_text() == one_site(SERVE), AGAIN
    config = yaml.safe_load(CLOUD.read_text())
    ServeDeploySchema.model_validate(config)
    settings = Settings.load(config["applications"][0]["args"])
    both = Settings.load(yaml.safe_load(SERVE)["applications"][0]["args"])
    assert (settings.sited, both.sited) == (False, True)
    assert settings.stage("Reranker").cpus == both.stage("Reranker").cpus == 2
