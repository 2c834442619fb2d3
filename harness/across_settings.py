"""What an experiment says of comparing the representations of its trained networks."""

from dataclasses import dataclass

from harness.parameters import check_fields, check_whole

FEWEST = 10
"""Images that any of the measures can say something of."""


@dataclass(frozen=True, kw_only=True)
class AcrossTrainings:
    """Compare the unadapted bodies of every two trainings of a regime; see `harness.across_trainings`.

    n_images: of each test source, drawn from all of its classes; of a source that has fewer, all. CCA needs 10 data
    points (images × positions) a channel. n_episodes: test episodes of each source to which snapshots, where the regime
    has them, and the tested network adapt, of each method's first seed; see `harness.over_training`. 0 for none.
    """

    n_images: int = 400
    n_episodes: int = 4

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("AcrossTrainings.n_images", self.n_images, low=FEWEST)
        check_whole("AcrossTrainings.n_episodes", self.n_episodes, low=0)
