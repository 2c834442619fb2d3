"""The evaluation of a run: all its test episodes here, or parts of them by several workers, to the same bits."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from harness.episode_sequence import SourceSequence, evaluation_sequence
from harness.evaluation import evaluate, groups
from harness.learner import Learner
from harness.method import Method
from harness.pools import open_pool
from harness.read_ahead import ReadAhead
from harness.row_columns import run_columns
from harness.spec import RunSpec
from harness.store import Workspace

Rows = list[dict[str, object]]
"""One an episode, without the order of columns."""

Tell = Callable[[int], None]
"""Told after each episode how many are done; it must be quick."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Consecutive episodes of one of a run's evaluations: `first` to `stop` - 1 of number `place`."""

    place: int
    first: int
    stop: int


Part = tuple[Stretch, ...]
"""What one worker does."""


@dataclass(frozen=True, kw_only=True)
class RunEvaluation:
    """A run's evaluations, and the learner and method that they are of. network: its name."""

    spec: RunSpec
    workspace: Workspace
    method: Method
    network: str
    learner: Learner

    @property
    def n_episodes(self) -> int:
        """Of all evaluations."""
        return sum(evaluation.n_episodes for evaluation in self.spec.evaluations)

    def whole(self, tell: Tell) -> Rows:
        """The rows of all episodes, in order."""
        every = enumerate(self.spec.evaluations)
        return self.rows(tuple(Stretch(place=i, first=0, stop=e.n_episodes) for i, e in every), tell)

    def rows(self, part: Part, tell: Tell) -> Rows:
        """The rows of the episodes of a part, in order."""
        rows: Rows = []
        for stretch in part:
            columns = run_columns(self.spec, self.method, self.network, self.spec.evaluations[stretch.place])
            indices = range(stretch.first, stretch.stop)
            with ReadAhead(self._sequence(stretch.place), indices) as episodes:
                for score in evaluate(self.method, self.learner, episodes, seed=self.spec.seed):
                    rows.append({**columns, **asdict(score)})
                    tell(len(rows))
        return rows

    def parts(self, most: int) -> list[Part]:
        """Up to `most` parts that are all episodes in order, with about as many images each.

        Each begins where a group of episodes begins that are predicted together, so that every episode has the company,
        and with it the order of floating-point sums, that it has in `whole`.
        """
        found = list(self._groups())
        total = sum(images for _, images in found)
        parts: dict[int, list[Stretch]] = {}
        before = 0
        for group, images in found:
            own = parts.setdefault(most * (2 * before + images) // (2 * total), [])
            before += images
            if own and own[-1].place == group.place:
                group = Stretch(place=group.place, first=own.pop().first, stop=group.stop)
            own.append(group)
        return [tuple(part) for part in parts.values()]

    def _groups(self) -> Iterator[tuple[Stretch, int]]:
        """The groups of all evaluations, and how many images each has."""
        for place, evaluation in enumerate(self.spec.evaluations):
            sequence = self._sequence(place)
            outlines = (sequence.outline(k) for k in range(evaluation.n_episodes))
            for group in groups(self.method, self.learner, outlines):
                images = sum(len(one.task.support_x) + len(one.task.query_x) for one in group)
                yield Stretch(place=place, first=group[0].index, stop=group[-1].index + 1), images

    def _sequence(self, place: int) -> SourceSequence:
        evaluation, spec = self.spec.evaluations[place], self.spec
        pool = open_pool(self.workspace.cache, evaluation.source.pool_key(evaluation.split, spec.images))
        return evaluation_sequence(spec, evaluation, pool)


Share = Callable[[RunEvaluation, Tell], Rows]
"""Does a run's evaluation by several workers: the rows of `RunEvaluation.whole`, but for the measured seconds."""
