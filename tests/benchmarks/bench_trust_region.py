"""How fast is TRPO's product with the Fisher matrix? Ours, also for all tasks at once, and by differentiating twice.

    python tests/benchmarks/bench_trust_region.py [--rounds N]

Seconds of one CPU core for a product, by the settings of 2D-Navigation (20 tasks of 20 trajectories of 100 steps, a
policy of two layers of 100 units), in rounds that take turns: the median, with the least. A step makes ten products.
The last column is by how much the two differ, as a share of their length.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor

from harness.control import meta_batch
from harness.control.adaptation import adaptation_of
from harness.control.fisher import fisher_product, flat, split
from harness.control.meta_batch import MetaObjective, run_course
from harness.control.policy import fresh_policy
from harness.control.policy_network import MLP
from harness.control.sampling import Sampling
from harness.control.source import task_of
from harness_datasets.navigation2d import Navigation2D
from harness_methods.anil import ANIL
from harness_methods.maml import MAML

Product = Callable[[Tensor], Tensor]
TASKS = 20


def twice_differentiated(divergence: Tensor, parameters: list[torch.nn.Parameter]) -> Product:
    """The Hessian of the divergence times a vector, as reference implementations of MAML-TRPO have it."""
    slope = torch.autograd.grad(divergence, parameters, create_graph=True)

    def product(vector: Tensor) -> Tensor:
        parts = split(vector, parameters)
        along = torch.stack([(g * v).sum() for g, v in zip(slope, parts, strict=True)]).sum()
        return flat(torch.autograd.grad(along, parameters, retain_graph=True), parameters)

    return product


def in_one_block(objective: MetaObjective, parameters: list[torch.nn.Parameter]) -> Product:
    """As on a GPU."""
    with mock.patch.object(meta_batch, "BLOCK", TASKS):
        return fisher_product(objective.outputs(), parameters, 0.0)


def objective_of(method: MAML) -> tuple[MetaObjective, list[torch.nn.Parameter]]:
    """A meta-batch of a fresh policy."""
    source = Navigation2D()
    policy = fresh_policy(MLP(), method, source, seed=0)
    adaptation = adaptation_of(method, policy, training=True)
    tasks = [task_of(source, "train", seed=0, k=k) for k in range(TASKS)]
    course = run_course(
        source, policy, adaptation, tasks, Sampling(trajectories=20), seed=0, stream="benchmark"
    )
    return MetaObjective(policy, adaptation, course.experiences), list(policy.parameters())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"{'method':8}{'product':24}{'median s':>10}{'least s':>10}{'apart':>10}")
    for method in (MAML(inner_lr=0.1, inner_steps=1), ANIL(inner_lr=0.1, inner_steps=1)):
        objective, parameters = objective_of(method)
        _, divergence = objective.surrogate_and_divergence(graph=True)
        ways: dict[str, Product] = {
            "gradient differentiated": twice_differentiated(divergence, parameters),
            "ours, all tasks at once": in_one_block(objective, parameters),
            "ours": fisher_product(objective.outputs(), parameters, 0.0),
        }
        vector = flat([torch.randn_like(p) for p in parameters], parameters)
        exact = ways["gradient differentiated"](vector)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, product in ways.items():
                start = time.process_time()
                product(vector)
                times[name].append(time.process_time() - start)
        for name, product in ways.items():
            apart = float((product(vector) - exact).norm() / exact.norm())
            taken = times[name]
            print(
                f"{method.name:8}{name:24}{statistics.median(taken):>10.3f}{min(taken):>10.3f}{apart:>10.0e}"
            )


if __name__ == "__main__":
    main()
