"""Do features specialise to the classes of a task? Distances within and between classes, before and after."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from harness.episode import Episode, Spare
from harness.layer_outputs import first_changed, layer_outputs
from harness.learner import Learner
from harness.masks import NOTHING, measured_masks
from harness.measured import Measured
from harness.method import Method, can_adapt, starting_weights
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import SPARE_LIMIT, ProbeRow, Work, grouped, row
from harness.specialisation import ClassDistances, class_distances, mean_distances
from harness.task_batch import stack

DISTANCES = ("within", "between")


@dataclass(frozen=True, kw_only=True)
class Specialisation:
    """Per layer, of its output for the episode's spare images, flattened: unbiased class distances.

    Quantities `within` and `between` (squared units of the features), and `separation` between / (between + 2 within);
    over all episodes `pooled_within`, `pooled_between` and their `pooled_separation` and `pooled_spread` (within /
    between): ratios of averages, as `harness.specialisation` asks for. The head's output are the logits.

    Conditions are the adapted layers by name: `nothing`, the method's own, and `everything` where these differ; layers
    below the lowest adapted one are as under `nothing` and have no rows of their own. Support and query images take no
    part; spare images are normalised as `layer_outputs` says. A method that does not adapt has `nothing` alone.
    """

    name: str = "specialisation"
    n_episodes: int = 50
    n_spare: int = SPARE_LIMIT

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("Specialisation", self.name)
        check_whole("Specialisation.n_episodes", self.n_episodes, low=1)
        check_whole("Specialisation.n_spare", self.n_spare, low=4)

    @property
    def needs_adaptation(self) -> bool:
        """Before adaptation it can be measured in any case."""
        return False

    def work(self, n_layers: int, steps: int) -> Work:  # noqa: ARG002
        """One adaptation; two passes over the images, and the distances."""
        return Work(adaptations=1, spare_passes=4)

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:
        """Three rows a layer and condition."""
        batch = stack([episode.task])
        masks = {NOTHING: frozenset[str](), **(measured_masks(method, learner) if can_adapt(method) else {})}
        for condition, mask in masks.items():
            weights = (
                method.adapt(learner, episode.task, adapted=mask)
                if mask and can_adapt(method)
                else starting_weights(method, learner, episode.task)
            )
            layers = learner.layers[first_changed(learner, weights) if mask else 0 :]
            # Without images there is nothing to run; the distances then say that there are too few.
            outputs: Iterable[tuple[str, Tensor]] = (
                layer_outputs(learner, weights, batch, spare.x[None])
                if len(spare.x)
                else ((layer, spare.x.new_zeros(1, 0, 1)) for layer in layers)
            )
            for layer, output in outputs:
                if layer in layers:
                    found = class_distances(output[0], spare.y)
                    for quantity, value in _quantities(found):
                        yield row(value, condition=condition, quantity=quantity, n=len(spare.x), layer=layer)

    def pooled(self, rows: Sequence[ProbeRow]) -> Iterator[ProbeRow]:
        """Averages over episodes, each weighing the same, and their ratios; n is the images of all."""
        for (condition, layer), own in grouped(rows).items():
            columns = [[each for each in own if each.quantity == name] for name in DISTANCES]
            parts = [
                ClassDistances(within=within.value, between=between.value, reason=within.reason)
                for within, between in zip(*columns, strict=True)
            ]
            n = sum(each.n for each in columns[0] if not each.reason)
            found = mean_distances(parts)
            for quantity, value in (*_quantities(found), ("spread", found.spread)):
                yield row(value, condition=condition, quantity=f"pooled_{quantity}", n=n, layer=layer)


def _quantities(found: ClassDistances) -> Iterator[tuple[str, Measured]]:
    yield from ((name, Measured(value=getattr(found, name), reason=found.reason)) for name in DISTANCES)
    yield "separation", found.separation
