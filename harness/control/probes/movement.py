"""How far do a policy's weights and functions move, layer by layer and step by step?"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.control.policy import Policy
from harness.control.policy_probe import TestGround, of_task, policy_outputs, visited
from harness.inner_loop_method import InnerLoopMethod
from harness.layer_norms import relative_changes
from harness.learner import layer_of
from harness.masks import measured_masks
from harness.measured import relative
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import ProbeRow, row


@dataclass(frozen=True, kw_only=True)
class PolicyMovement:
    """How far weights and layers' outputs have moved after inner step k = 1, 2, ...

    `weight_change` is |w_k - w_0| / |w_0|, all adapted parameters of the layer as one vector, the spread of the
    actions among the head's. `function_change` is |f_k(s) - f_0(s)| / |f_0(s)|, f the layer's output for the
    states visited before adaptation, all in one vector; the head's are the means of the actions. Conditions as of
    `PolicySimilarity`.
    """

    name: str = "movement"
    n_tasks: int = 20
    n_states: int = 1000

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("PolicyMovement", self.name)
        check_whole("PolicyMovement.n_tasks", self.n_tasks, low=1)
        check_whole("PolicyMovement.n_states", self.n_states, low=1)

    def measure(
        self, policy: Policy, method: InnerLoopMethod, ground: TestGround, number: int
    ) -> Iterator[ProbeRow]:
        """One row a condition, step, layer and quantity; none for a method that adapts nothing."""
        if not method.adaptation_steps:
            return
        for condition, mask in measured_masks(method, policy).items():
            if not mask:
                continue
            course = ground.course(policy, method, [number], mask)
            states = visited(course, 0, self.n_states)
            path = [of_task(weights, 0) for weights in course.weights]
            changed = {layer_of(name) for name in path[0]}
            lowest = next(i for i, layer in enumerate(policy.layers) if layer in changed)
            first = list(policy_outputs(policy, path[0], states))
            for step, weights in enumerate(path[1:], start=1):
                for layer, found in relative_changes(policy, path[0], weights, policy.action_size).items():
                    yield row(
                        found, condition=condition, quantity="weight_change",
                        n=course.trajectories[0].mask.shape[1], layer=layer, step=step,
                    )  # fmt: skip
                now = list(policy_outputs(policy, weights, states))
                for (layer, old), (_, new) in list(zip(first, now, strict=True))[lowest:]:
                    change = relative(float((new - old).norm()), float(old.norm()))
                    yield row(
                        change, condition=condition, quantity="function_change",
                        n=states.shape[1], layer=layer, step=step,
                    )  # fmt: skip
