"""Where policies compute and bodies move: on the CPU or a GPU, in one thread or several."""

from pathlib import Path
from typing import Any

import pytest
import torch

from control_experiments import needs_entry_points, planned_control, write_control
from harness.cli import main
from harness.control import run_worker
from harness.control.adaptation import adaptation_of
from harness.control.meta_batch import MetaObjective, run_course
from harness.control.run_spec import source_of
from harness.control.simulation_threads import simulation_threads
from harness.control.source import task_of
from harness_methods.maml import MAML

pytestmark = needs_entry_points

COMPUTE = ("ControlExperiment.compute = @Compute()",)


def test_a_policys_device_is_part_of_its_runs_identity_and_the_cpu_is_the_default(tmp_path: Path) -> None:
    plain = planned_control(tmp_path)[0]
    said = planned_control(tmp_path, *COMPUTE, "Compute.device = 'cpu'")[0]
    on_gpu = planned_control(tmp_path, *COMPUTE, "Compute.device = 'cuda'")[0]
    assert said.to_json() == plain.to_json()
    assert "compute" not in plain.to_json()
    assert on_gpu.to_json()["compute"] == {"device": "cuda"}
    assert {on_gpu.run_id, on_gpu.training_id}.isdisjoint((plain.run_id, plain.training_id))


def test_a_run_simulates_with_as_many_threads_as_it_has_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(*arguments: Any, **more: Any) -> Any:
        seen.append(simulation_threads())
        return run_course(*arguments, **more)

    monkeypatch.setattr("harness.control.meta_training.run_course", watched)
    monkeypatch.chdir(tmp_path)
    config = write_control(
        tmp_path,
        "ControlExperiment.resources = @Resources()",
        "Resources.cpus = 3",
        "ControlExperiment.seeds = 1",
    )
    assert main(["run", str(config), "--backend", "serial", "--out", "out"]) == 0
    assert set(seen) == {3}
    assert simulation_threads() == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here")
def test_a_gpu_meets_the_same_returns_and_outer_gradient(tmp_path: Path) -> None:
    """Not the same update: conjugate gradient on few states makes much of the last bit, on one device as on two."""
    found = []
    for device in ("cpu", "cuda"):
        run = planned_control(tmp_path, *COMPUTE, f"Compute.device = '{device}'")[0]
        training = run_worker.build_training(run)
        policy = training.policy.double()
        adaptation = adaptation_of(MAML(inner_lr=0.1, inner_steps=1), policy, training=True)
        source = source_of(run.train.source)
        tasks = [task_of(source, "train", seed=0, k=k) for k in range(2)]
        course = run_course(source, policy, adaptation, tasks, run.train.sampling, seed=0, stream="gpu")
        loss, _ = MetaObjective(policy, adaptation, course.experiences).surrogate_and_divergence(graph=True)
        gradients = torch.autograd.grad(loss, list(policy.parameters()))
        returns = [each.returns for each in course.trajectories]
        found.append([each.cpu() for each in (*returns, loss.detach(), *gradients)])
    for here, there in zip(*found, strict=True):
        assert torch.allclose(here, there, rtol=1e-6, atol=1e-9)
