"""Does adaptation change the representation? Raghu et al. 2020 (arXiv 1909.09157), section 3.2.2."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from harness.cca import mean_cca, svcca
from harness.cka import FEWEST_IMAGES, Hsic, debiased_cka, hsic
from harness.episode import Episode, Spare
from harness.layer_outputs import paired_outputs
from harness.learner import Learner
from harness.masks import measured_masks
from harness.measured import Measured, undefined
from harness.method import Method, can_adapt, starting_weights
from harness.parameters import check_fields, check_name, check_whole
from harness.probe import SPARE_LIMIT, ProbeRow, Work, grouped, row
from harness.similarity import mean_cosine
from harness.task_batch import stack

MEASURES = ("cka", "svcca", "mean_cca", "cosine")

PARTS = ("hsic_xy", "hsic_xx", "hsic_yy")


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Each layer's output for the episode's spare images, before adaptation against after.

    Quantities: `cka` (debiased, of this episode), `svcca` (99 % of the variance), `mean_cca`, `cosine`, and the parts
    of the debiased CKA, `hsic_xy`, `hsic_xx`, `hsic_yy` (x before, y after). Over all episodes `pooled_cka`, the ratio
    of the sums of these parts, which is nearer the truth than a mean of ratios. Definitions: `cka.py`, `cca.py`,
    `similarity.py`; the output of a convolution is flattened for CKA and cosine, and its positions are data points for
    CCA. The head's output are the logits.

    Conditions are the adapted layers by name: the method's own, and `everything` where these differ. Layers below the
    lowest adapted one are equal before and after and have no rows. Support and query images take no part; spare images
    are normalised as `layer_outputs` says. A measure that has too few images is NaN with the reason.

    n_spare: most images an episode. CCA needs 10 data points a channel: where the last layers have few positions, some
    hundred images.
    """

    name: str = "similarity"
    n_episodes: int = 50
    n_spare: int = SPARE_LIMIT

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("Similarity", self.name)
        check_whole("Similarity.n_episodes", self.n_episodes, low=1)
        check_whole("Similarity.n_spare", self.n_spare, low=FEWEST_IMAGES)

    @property
    def needs_adaptation(self) -> bool:
        """It does."""
        return True

    def work(self, n_layers: int, steps: int) -> Work:  # noqa: ARG002
        """One adaptation; two passes over the images, and the measures, which take as long as some more."""
        return Work(adaptations=1, spare_passes=10)

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:
        """Seven rows a layer and condition."""
        assert can_adapt(method)
        batch = stack([episode.task])
        for condition, mask in measured_masks(method, learner).items():
            after = method.adapt(learner, episode.task, adapted=mask)
            if len(spare.x) < FEWEST_IMAGES:
                yield from _refused(condition, learner.layers, len(spare.x))
                continue
            before = starting_weights(method, learner, episode.task)
            for layer, old, new in paired_outputs(learner, before, after, batch, spare.x[None]):
                for quantity, found in compared(old[0], new[0]):
                    yield row(found, condition=condition, quantity=quantity, n=len(spare.x), layer=layer)

    def pooled(self, rows: Sequence[ProbeRow]) -> Iterator[ProbeRow]:
        """`pooled_cka` of each condition and layer; n is the images of all episodes."""
        yield from pooled_cka(rows)


def pooled_cka(rows: Sequence[ProbeRow]) -> Iterator[ProbeRow]:
    """The ratio of the sums of the rows' parts of CKA, for each condition and layer."""
    for (condition, layer), own in grouped(rows).items():
        columns = [[each for each in own if each.quantity == part] for part in PARTS]
        parts = [
            Hsic(xy=xy.value, xx=xx.value, yy=yy.value)
            for xy, xx, yy in zip(*columns, strict=True)
            if not (xy.reason or xx.reason or yy.reason)
        ]
        found = debiased_cka(parts) if parts else undefined(own[0].reason)
        n = sum(each.n for each in columns[0] if not each.reason)
        yield row(found, condition=condition, quantity="pooled_cka", n=n, layer=layer)


def compared(before: Tensor, after: Tensor) -> Iterator[tuple[str, Measured | float]]:
    """Every quantity of one layer's outputs, [n, p] or [n, C, H, W] each."""
    parts = hsic(before, after)
    yield "cka", debiased_cka([parts])
    yield "svcca", svcca(before, after)
    yield "mean_cca", mean_cca(before, after)
    yield "cosine", mean_cosine(before, after)
    yield from zip(PARTS, (parts.xy, parts.xx, parts.yy), strict=True)


def _refused(condition: str, layers: Sequence[str], n: int) -> Iterator[ProbeRow]:
    reason = f"The episode has {n} spare images; a similarity needs at least {FEWEST_IMAGES}."
    for layer in layers:
        for quantity in (*MEASURES, *PARTS):
            yield row(undefined(reason), condition=condition, quantity=quantity, n=n, layer=layer)
