"""What a run may take: as Ray takes it, and what it would refuse."""

from typing import Any

import pytest

import fake_execute
from harness.errors import ConfigError
from harness.resources import Resources


def test_resources_are_what_ray_takes() -> None:
    assert Resources().options(on_gpu=False) == {"num_cpus": 1.0}
    assert Resources().options(on_gpu=True) == {"num_cpus": 1.0, "num_gpus": 1}
    given = Resources(cpus=2, gpus=0.25, custom={"big": 1})
    assert given.options(on_gpu=True) == {"num_cpus": 2.0, "num_gpus": 0.25, "resources": {"big": 1}}
    for wrong in ({"cpus": 0}, {"gpus": 1.5}, {"hours": -1}, {"retries": -1}, {"custom": {"a": 0}}):
        with pytest.raises(ConfigError, match="Resources"):
            Resources(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"cpus": 1e-6}, r"Resources\.cpus must be at least 0\.0001"),
        ({"gpus": 1e-6}, r"Resources\.gpus must be at least 0\.0001"),
        ({"custom": {"big": 1e-5}}, r"Resources\.custom\['big'\] must be at least 0\.0001"),
        ({"custom": {"big": "1"}}, r"Resources\.custom\['big'\] must be a finite number"),
        ({"custom": {"CPU": 1}}, r"use Resources\.cpus"),
        ({"custom": {"GPU": 1}}, r"use Resources\.gpus"),
        ({"custom": {"memory": 1e9}}, "no resource of a cluster's own"),
        ({"custom": {1: 1}}, "ray start --resources"),
        ({"custom": ["big"]}, "must have amounts by name"),
    ],
)
def test_resources_that_ray_would_refuse_are_refused_before(given: dict[str, Any], refused: str) -> None:
    with pytest.raises(ConfigError, match=refused):
        Resources(**given)


def test_resources_that_ray_takes_are_taken() -> None:
    import ray

    for given in (0.0001, 0.3, 1.5, 64.0):
        wanted = Resources(cpus=given, custom={"big": given}).options(on_gpu=False)
        ray.remote(fake_execute.execute).options(**wanted)  # raises ValueError for what Ray does not take
