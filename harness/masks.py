"""Masks of adapted layers by name: the conditions of the freezing experiment, which other probes speak of too."""

from collections.abc import Sequence

from harness.learner import HEAD, LayerMask, Learner
from harness.method import AdaptingMethod

NOTHING, HEAD_ONLY, BODY_ONLY, EVERYTHING = "nothing", "head only", "body only", "everything"


def freeze_masks(layers: Sequence[str]) -> dict[str, LayerMask]:
    """Condition -> adapted layers, of `layers` input side first and the head last.

    `nothing`; `head only`; `from L` for every body layer L but the first, from the last one down: L and all above it
    adapt, those below are frozen; `body only`; `everything`.
    """
    body = [layer for layer in layers if layer != HEAD]
    masks = {NOTHING: frozenset[str](), HEAD_ONLY: frozenset({HEAD})}
    masks |= {f"from {body[i]}": frozenset([*body[i:], HEAD]) for i in range(len(body) - 1, 0, -1)}
    return {**masks, BODY_ONLY: frozenset(body), EVERYTHING: frozenset([*body, HEAD])}


def mask_name(layers: Sequence[str], mask: LayerMask) -> str:
    """The name of `mask` among `freeze_masks`; its layers joined by "+" where it is none of them."""
    named = (name for name, known in freeze_masks(layers).items() if known == mask)
    return next(named, "+".join(layer for layer in layers if layer in mask))


def measured_masks(method: AdaptingMethod, learner: Learner) -> dict[str, LayerMask]:
    """What a probe that compares before with after adapts: the layers the method adapts, and everything.

    For MAML the two are one. For ANIL the first says what the method does, the second what its body would do.
    """
    own = method.adapted_layers(learner)
    return {mask_name(learner.layers, own): own, EVERYTHING: frozenset(learner.layers)}
