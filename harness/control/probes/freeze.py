"""Freezing at test time: what a policy's adaptation is worth when only chosen layers take part in it."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.control.policy import Policy
from harness.control.policy_probe import TestGround
from harness.inner_loop_method import InnerLoopMethod
from harness.masks import freeze_masks
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import ProbeRow, row


@dataclass(frozen=True, kw_only=True)
class PolicyFreeze:
    """`return` after adaptation with only chosen layers adapted, whatever layers the method itself adapts.

    Conditions are those of `masks.freeze_masks`: `nothing`, `head only`, `from hidden2`, ..., `everything`. Rate and
    steps are the method's own at test time; what is sampled before the first step is the same in all. n: trajectories.
    """

    name: str = "freeze"
    n_tasks: int = 40

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("PolicyFreeze", self.name)
        check_whole("PolicyFreeze.n_tasks", self.n_tasks, low=1)

    def measure(
        self, policy: Policy, method: InnerLoopMethod, ground: TestGround, number: int
    ) -> Iterator[ProbeRow]:
        """One row a condition."""
        for condition, mask in freeze_masks(policy.layers).items():
            reached = ground.course(policy, method, [number], mask).trajectories[-1]
            kept = int((~reached.dropped).sum())
            yield row(float(reached.returns[0]), condition=condition, quantity="return", n=kept)
