"""What an experiment says of the distances between its sources."""

from dataclasses import dataclass

from harness.parameters import check_fields, check_whole


@dataclass(frozen=True, kw_only=True)
class Dissimilarity:
    """Measure how far each test source is from the training sources; see `harness.distances`.

    method: the name of the method whose trained body is the probe network; None for the first of the experiment. The
    seed is the experiment's first. n_tasks: tasks drawn of each source. n_way, n_images: classes of a task, images of
    each class; a source of fewer images a class gets no distance, with the reason. n_episodes: test episodes of each
    source, of that seed, whose own distances are measured, too; 0 for none. One costs as much as a task of its size.
    """

    method: str | None = None
    n_tasks: int = 20
    n_way: int = 5
    n_images: int = 20
    n_episodes: int = 50

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("Dissimilarity.n_tasks", self.n_tasks, low=2)
        check_whole("Dissimilarity.n_way", self.n_way, low=2)
        check_whole("Dissimilarity.n_images", self.n_images, low=2)
        check_whole("Dissimilarity.n_episodes", self.n_episodes, low=0)
