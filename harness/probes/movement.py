"""How far do weights and functions move, layer by layer and step by step?"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.episode import Episode, Spare
from harness.inner_loop import InnerStep, Variation
from harness.layer_norms import relative_changes
from harness.layer_outputs import function_changes
from harness.learner import LayerMask, Learner, Weights
from harness.masks import measured_masks
from harness.method import AdaptingMethod, Method, can_adapt
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import ProbeRow, Work, row
from harness.task_batch import stack


@dataclass(frozen=True, kw_only=True)
class Movement:
    """How far weights and layers' outputs have moved, per layer, after inner step k = 1, 2, ...


    `weight_change`     ‖w_k - w_0‖ / ‖w_0‖, all adapted parameters of the layer as one vector (`layer_norms`)
    `function_change`   ‖f_k(x) - f_0(x)‖ / ‖f_0(x)‖, f(x) the layer's output for the episode's spare images, all in one
                        vector: what the layer's own weights and those below it have changed together

    The head's output are the logits. n is the number of support images for weights, of spare images for functions.
    Conditions are the adapted layers by name: the method's own, and `everything` where these differ; frozen layers have
    no `weight_change`, those below the lowest adapted one no `function_change`. Spare images are normalised as
    `layer_outputs` says.
    """

    name: str = "movement"
    n_episodes: int = 50
    n_spare: int = 25

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("Movement", self.name)
        check_whole("Movement.n_episodes", self.n_episodes, low=1)
        check_whole("Movement.n_spare", self.n_spare, low=1)

    @property
    def needs_adaptation(self) -> bool:
        """It does."""
        return True

    def work(self, n_layers: int, steps: int) -> Work:  # noqa: ARG002
        """One adaptation, and a pass over the spare images after every step."""
        return Work(adaptations=1, spare_passes=steps + 1)

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:
        """One row a condition, step, layer and quantity."""
        assert can_adapt(method)
        batch = stack([episode.task])
        for condition, mask in measured_masks(method, learner).items():
            path = _path(method, learner, episode, mask)
            for step, weights in enumerate(path[1:], start=1):
                changes = relative_changes(learner, path[0], weights, batch.n_way)
                for layer, change in changes.items():
                    yield row(
                        change, condition=condition, quantity="weight_change",
                        n=batch.support_y.shape[1], layer=layer, step=step,
                    )  # fmt: skip
            for step, layer, found in function_changes(learner, path, batch, spare.x[None]) if path else ():
                yield row(
                    found, condition=condition, quantity="function_change",
                    n=len(spare.x), layer=layer, step=step,
                )  # fmt: skip


def _path(method: AdaptingMethod, learner: Learner, episode: Episode, mask: LayerMask) -> list[Weights]:
    """The adapted weights before the first step and after each."""
    steps: list[InnerStep] = []
    method.adapt(learner, episode.task, adapted=mask, variation=Variation(observe=steps.append))
    return [*(step.before for step in steps[:1]), *(step.after for step in steps)]
