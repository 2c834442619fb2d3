"""Does adaptation change the representation less, or more, as training goes on?

Raghu et al. 2020 (arXiv 1909.09157), section 3.2.2 and appendix: features before and after adaptation are as alike at
10,000 iterations as at 30,000. Here a training's snapshots, and the network that was tested, adapt all their layers to
the first test episodes of each source; layer by layer, debiased CKA between the outputs for an episode's spare images
before and after, the episodes pooled as in the probe `similarity`.
"""

from collections.abc import Iterator

import torch

from harness import plugins
from harness.cka import FEWEST_IMAGES, Hsic, debiased_cka, hsic
from harness.episode_sequence import evaluation_sequence
from harness.layer_outputs import paired_outputs
from harness.learner import Learner
from harness.measured import Measured, undefined
from harness.method import Method, can_adapt, starting_weights
from harness.pools import open_pool
from harness.probe import SPARE_LIMIT
from harness.spec import EvaluationSpec, RunSpec
from harness.store import Workspace
from harness.task_batch import stack


@torch.no_grad()
def adaptation_similarity(
    spec: RunSpec, learner: Learner, evaluation: EvaluationSpec, workspace: Workspace, n_episodes: int
) -> Iterator[tuple[str, Measured, int]]:
    """(layer, pooled debiased CKA before and after adaptation, images).

    The method that trained adapts; there is nothing for one that cannot.
    Undefined, with the reason, where no episode has FEWEST_IMAGES spare images.
    """
    # The trainer, not the run's method: several methods may share a training, in any order.
    method: Method = plugins.build(plugins.METHODS, spec.trainer)
    if not can_adapt(method):
        return
    pool = open_pool(workspace.cache, evaluation.source.pool_key(evaluation.split, spec.images))
    sequence = evaluation_sequence(spec, evaluation, pool)
    everything = frozenset(learner.layers)
    parts: dict[str, list[Hsic]] = {layer: [] for layer in learner.layers}
    images = 0
    for k in range(min(n_episodes, evaluation.n_episodes)):
        task, spare = sequence[k].task, sequence.spare(k, SPARE_LIMIT).x
        if len(spare) < FEWEST_IMAGES:
            continue
        images += len(spare)
        after = method.adapt(learner, task, adapted=everything)
        before = starting_weights(method, learner, task)
        for layer, old, new in paired_outputs(learner, before, after, stack([task]), spare[None]):
            parts[layer].append(hsic(old[0], new[0]))
    few = undefined(f"No episode has {FEWEST_IMAGES} spare images, which a similarity needs.")
    for layer, own in parts.items():
        yield layer, debiased_cka(own) if own else few, images
