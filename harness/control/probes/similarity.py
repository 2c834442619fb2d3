"""Does adaptation change what a policy's layers say of the states it visits?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.cka import FEWEST_IMAGES
from harness.control.policy import Policy
from harness.control.policy_probe import TestGround, of_task, policy_outputs, visited
from harness.inner_loop_method import InnerLoopMethod
from harness.learner import layer_of
from harness.masks import measured_masks
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import ProbeRow, row
from harness.probes.similarity import compared, pooled_cka


@dataclass(frozen=True, kw_only=True)
class PolicySimilarity:
    """Each layer's output for states visited before adaptation, under the weights before it against those after.

    Quantities are those of the probe `Similarity` of images, states in place of images: `cka` (debiased), `svcca`,
    `mean_cca`, `cosine`, the parts of CKA, and `pooled_cka` over all tasks. Conditions are the adapted layers by
    name: the method's own, and `everything` where these differ. Layers below the lowest adapted one are equal and
    have no rows. n: states, at most `n_states` a task.
    """

    name: str = "similarity"
    n_tasks: int = 20
    n_states: int = 1000

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("PolicySimilarity", self.name)
        check_whole("PolicySimilarity.n_tasks", self.n_tasks, low=1)
        check_whole("PolicySimilarity.n_states", self.n_states, low=FEWEST_IMAGES)

    def measure(
        self, policy: Policy, method: InnerLoopMethod, ground: TestGround, number: int
    ) -> Iterator[ProbeRow]:
        """Seven rows a layer and condition; none for a method that adapts nothing."""
        if not method.adaptation_steps:
            return
        for condition, mask in measured_masks(method, policy).items():
            if not mask:
                continue
            course = ground.course(policy, method, [number], mask)
            states, after = visited(course, 0, self.n_states), of_task(course.weights[-1], 0)
            if states.shape[1] < FEWEST_IMAGES:
                continue
            changed = {layer_of(name) for name in after}
            lowest = next(i for i, layer in enumerate(policy.layers) if layer in changed)
            pairs = zip(
                policy_outputs(policy, {}, states), policy_outputs(policy, after, states), strict=True
            )
            for place, ((layer, old), (_, new)) in enumerate(pairs):
                for quantity, found in compared(old, new) if place >= lowest else ():
                    yield row(found, condition=condition, quantity=quantity, n=states.shape[1], layer=layer)

    def pooled(self, rows: Sequence[ProbeRow]) -> Iterator[ProbeRow]:
        """`pooled_cka` of each condition and layer."""
        yield from pooled_cka(rows)
