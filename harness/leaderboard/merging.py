"""The finished runs of several experiments as one frame of episodes or tasks, each method under a name of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.control.finished_runs import read_control_run, told_apart
from harness.control.recognising import holds_control_runs
from harness.errors import ConfigError, WorkspaceError
from harness.leaderboard.scores import ACCURACY, RETURN, Score
from harness.record import read_record, recorded_runs
from harness.report.gather import FinishedRun, read_run
from harness.report.settings import flat_words
from harness.report.unreported import named
from harness.spec import digest, kind_of_training
from harness.statistics import with_shots
from harness.store import LeftOut, RunFolder

METHOD = ("method", "trainer")
"""Keys of a spec that say what a method is, whatever it was trained and tested on."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Episodes of all finished runs, columns of results.EPISODE_COLUMNS and `shots`, `images`, `experiment`; and what
    is missing. n_query: all queries of an episode, empty where the protocol draws them. subsets: sources of which
    something is missing, in clauses.
    Of control experiments, the tasks: columns of TASK_COLUMNS, `sampling` and `experiment`. score: what they are ranked
    by.

    The name of a method, or of what it was trained on, is followed by the experiment's where two experiments mean
    different things by it.
    """

    episodes: pd.DataFrame
    experiments: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    subsets: tuple[str, ...] = ()
    score: Score = ACCURACY


def merge(folders: Sequence[Path]) -> Merged:
    """Read the experiments in `folders`, each as `harness run` leaves it: the runs of its last command.

    A run that is in several of them counts once. Raises WorkspaceError for a folder that is not there and where none
    has a finished run, ConfigError where some are about images and others about control tasks.
    """
    found: dict[str, tuple[FinishedRun, str]] = {}
    left_out: list[LeftOut] = []
    score = _score(folders)
    read = read_control_run if score is RETURN else read_run
    names = _names(folders)
    for folder, name in zip(folders, names, strict=True):
        for run_folder in runs_of(folder):
            run, missing = read(run_folder)
            left_out += [LeftOut(run_id=f"{name}/{one.run_id}", reason=one.reason) for one in missing]
            if run is not None:
                found.setdefault(run.run_id, (run, name))
    if not found:
        reasons = named(left_out, 3) or "there are no runs"
        raise WorkspaceError(
            f"No run has finished in {', '.join(map(str, folders))} ({reasons}). A leaderboard is made from "
            "runs/, which `harness run CONFIG` fills; a report without its runs cannot be ranked."
        )
    labelled = _labelled(list(found.values()), score)
    subsets = dict.fromkeys(clause for folder in folders for clause in read_record(folder).get("subsets", ()))
    return Merged(
        episodes=labelled,
        experiments=names,
        left_out=tuple(left_out),
        subsets=tuple(subsets),
        score=score,
    )


def _score(folders: Sequence[Path]) -> Score:
    """What the experiments are ranked by."""
    control = [folder for folder in folders if holds_control_runs(folder)]
    images = [folder for folder in folders if folder not in control]
    if control and images:
        raise ConfigError(
            f"{control[0]} is about control tasks and {images[0]} about images: returns and accuracies are never in "
            "one ranking. Make a leaderboard of each kind by itself."
        )
    return RETURN if control else ACCURACY


def _names(folders: Sequence[Path]) -> tuple[str, ...]:
    """A name for each experiment: its folder's, with as much of the path as keeps them apart."""
    resolved = [folder.resolve() for folder in folders]
    for depth in range(1, 1 + max((len(path.parts) for path in resolved), default=1)):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(set(resolved)):
            return tuple(names)
    return tuple(map(str, resolved))


def runs_of(folder: Path) -> list[RunFolder]:
    """Of the last `harness run` in an experiment's folder, finished or not; WorkspaceError where there is no folder."""
    if not folder.is_dir():
        raise WorkspaceError(
            f"There is no folder {folder}: name one that `harness run` made, such as reports/quickstart."
        )
    return recorded_runs(folder)


def _labelled(runs: list[tuple[FinishedRun, str]], score: Score) -> pd.DataFrame:
    """One frame; a name that stands for several things gets the experiment's beside it."""
    methods: dict[str, set[str]] = {}
    trainings: dict[tuple[str, tuple[str, bool]], set[str]] = {}
    for run, _ in runs:
        methods.setdefault(run.method, set()).add(digest([run.spec.get(key) for key in METHOD], 16))
        kind, training = _training(run)
        trainings.setdefault((run.trained_on, kind), set()).add(training)
    networks: dict[str, set[str]] = {}
    for run, _ in runs if score is ACCURACY else ():
        name, words = _network(run)
        networks.setdefault(name, set()).add(words)
    several = {
        "method": {name for name, meanings in methods.items() if len(meanings) > 1},
        "trained_on": {name for (name, _), meanings in trainings.items() if len(meanings) > 1},
    }
    frames = []
    for run, experiment in runs:
        own = {"method": run.method, "trained_on": run.trained_on}
        named = {
            column: f"{name} ({experiment})" if name in several[column] else name
            for column, name in own.items()
        }
        rows = told_apart(run.episodes) if score is RETURN else run.episodes.assign(**_seen_by(run, networks))
        frames.append(rows.assign(**named, experiment=experiment))
    whole = pd.concat(frames, ignore_index=True)
    return _with_given_sizes(whole) if score is ACCURACY else whole


def _seen_by(run: FinishedRun, networks: Mapping[str, set[str]]) -> dict[str, str]:
    """Columns of what a method computes on: how images are made, and the network; its parameters where one name means
    several. Size and policy of batch norm have columns of their own.
    """
    name, words = _network(run)
    images = {key: value for key, value in run.spec["images"].items() if key != "size"}
    return {
        "images": flat_words(images),
        "network": ", ".join(filter(None, (name, words))) if len(networks[name]) > 1 else name,
    }


def _network(run: FinishedRun) -> tuple[str, str]:
    """Its name in rows, and its parameters."""
    params = run.spec["network"].get("params", {})
    own = {key: value for key, value in params.items() if key not in ("name", "batch_norm")}
    return str(run.episodes["network"].iloc[0]), flat_words(own)


def _with_given_sizes(episodes: pd.DataFrame) -> pd.DataFrame:
    """`shots` added, and `n_query` emptied where the protocol draws it: then it is no condition."""
    whole = with_shots(episodes)
    return whole.assign(n_query=whole["n_query"].astype("Int64").mask(whole["shots"].isna()))


def _training(run: FinishedRun) -> tuple[tuple[str, bool], str]:
    """(its kind, the rest), equal for all methods of one regime that are trained in one kind of ways."""
    train = dict(run.spec.get("train", {}))
    kind = kind_of_training(train)
    for apart in ("learns_from", "snapshots"):
        train.pop(apart, None)
    return kind, "" if kind[0] == "nothing" else digest(train, 16)
