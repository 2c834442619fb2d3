"""What is planned for a training: its spec, by what the method trains on."""

from harness.experiment import Regime
from harness.method import Trainable, steps_itself, trains_on
from harness.planned_sources import PlannedSources
from harness.spec import OWN_STEPS, TrainSpec


def train_spec(regime: Regime, trainer: Trainable, sources: PlannedSources) -> TrainSpec:
    """How `trainer` is trained under the regime; without updates where it is not trained."""
    learns_from = trains_on(trainer)
    iterations = 0 if learns_from == "nothing" else regime.iterations
    episodic, own_steps = learns_from == "episodes", steps_itself(trainer)
    validation_shape = regime.validation_shape or regime.shape
    return TrainSpec(
        sources=tuple(sources.spec(dataset) for dataset in regime.sources),
        # What has no effect is the same whatever the regime says, so that it makes no other training.
        shape=regime.shape if episodic else validation_shape,
        augmentation=regime.augmentation,
        iterations=iterations,
        meta_batch=regime.meta_batch if episodic else 1,
        learning_rate=0.0 if own_steps else regime.learning_rate,
        schedule=OWN_STEPS if own_steps else regime.schedule,
        gradient_clip=regime.gradient_clip,
        validate_every=regime.validate_every,
        validation_episodes=regime.validation_episodes,
        validation_sources=tuple(sources.spec(dataset) for dataset in regime.validated_on),
        validation_shape=validation_shape,
        snapshots=tuple(sorted(k for k in set(regime.snapshots) if k <= iterations)),
        learns_from=learns_from,
    )


def training_classes(regime: Regime, trainer: Trainable, sources: PlannedSources) -> int:
    """How many classes the head must tell apart while training on batches: all of the sources; otherwise 0.

    Raises ConfigError where the trainer has a `check_classes` that refuses so many.
    """
    if trains_on(trainer) != "batches":
        return 0
    n_classes = sum(len(sources.content(dataset, "train").sizes) for dataset in regime.sources)
    check = getattr(trainer, "check_classes", None)
    if check is not None:
        check(n_classes)
    return n_classes
