"""Running the probes of a run: on the first episodes of each evaluation, after it."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import pandas as pd
import torch

from harness import plugins
from harness.episode import Episode, Spare
from harness.episode_sequence import SourceSequence, evaluation_sequence
from harness.learner import Learner
from harness.method import Method, can_adapt
from harness.pools import open_pool
from harness.probe import Probe, ProbeRow, absent, can_pool
from harness.progress import Progress, Report
from harness.results import PROBE_COLUMNS
from harness.row_columns import run_columns
from harness.seeds import seed_torch
from harness.spec import EvaluationSpec, RunSpec
from harness.store import RunFolder, Workspace

REPORT_SECONDS = 0.5
"""Between two reports of progress."""


def probe_all(
    spec: RunSpec,
    workspace: Workspace,
    folder: RunFolder,
    method: Method,
    network: str,
    learner: Learner,
    report: Report,
) -> None:
    """Measure all probes of `spec` and leave their rows in probes.parquet; without probes, do nothing.

    An evaluation whose rows an interrupted run has left behind is not measured again.
    """
    probes: list[Probe] = [plugins.build(plugins.PROBES, component) for component in spec.probes]
    if not probes or folder.probes.exists():
        return
    learner.eval()
    allowed = [probe for probe in probes if can_adapt(method) or not probe.needs_adaptation]
    parts = [(place, e) for place, e in enumerate(spec.evaluations) if not folder.probe_part(place).exists()]
    total = sum(_episodes(probe, e) for _, e in parts for probe in allowed)
    meter = _Meter(run_id=spec.run_id, total=total, report=report)
    for place, evaluation in parts:
        pool = open_pool(workspace.cache, evaluation.source.pool_key(evaluation.split, spec.images))
        sequence = evaluation_sequence(spec, evaluation, pool)
        rows = [_absent_row(probe, absent(method.name)) for probe in probes if probe not in allowed]
        rows += _measured(spec, allowed, method, learner, evaluation, sequence, meter)
        columns = run_columns(spec, method, network, evaluation)
        folder.write_probe_part(
            place, pd.DataFrame([{**columns, **row} for row in rows], columns=pd.Index(PROBE_COLUMNS))
        )
        if folder.mirror is not None:
            folder.mirror.push_when_due()
    folder.join_probe_parts(len(spec.evaluations))


def _episodes(probe: Probe, evaluation: EvaluationSpec) -> int:
    return min(probe.n_episodes, evaluation.n_episodes)


@torch.no_grad()
def _measured(
    spec: RunSpec,
    probes: Sequence[Probe],
    method: Method,
    learner: Learner,
    evaluation: EvaluationSpec,
    sequence: SourceSequence,
    meter: "_Meter",
) -> Iterator[dict[str, object]]:
    """The rows of one evaluation: episode after episode, so that each is drawn once, then what all of them say."""
    found: dict[str, list[ProbeRow]] = {probe.name: [] for probe in probes}
    sizes: dict[str, set[tuple[int, int, int]]] = {probe.name: set() for probe in probes}
    for k in range(max((_episodes(probe, evaluation) for probe in probes), default=0)):
        wanted = [probe for probe in probes if k < _episodes(probe, evaluation)]
        episode = sequence[k]
        spares = {limit: sequence.spare(k, limit) for limit in {probe.n_spare for probe in wanted}}
        for probe in wanted:
            rows = measure(probe, learner, method, episode, spares[probe.n_spare], seed=spec.seed)
            found[probe.name] += rows
            sizes[probe.name].add(_size(episode))
            yield from (_columns(probe, k, _size(episode), row) for row in rows)
            meter.add()
    for probe in probes:
        if not found[probe.name]:
            yield _absent_row(probe, "The probe found nothing to measure, as where no inner step is taken.")
        elif can_pool(probe):
            # A column holds what all episodes share, and nothing where they vary.
            shared = [
                each.pop() if len(each) == 1 else None
                for each in map(set, zip(*sizes[probe.name], strict=True))
            ]
            for row in probe.pooled(found[probe.name]):
                yield _columns(probe, None, shared, row)


def measure(
    probe: Probe, learner: Learner, method: Method, episode: Episode, spare: Spare, *, seed: int
) -> list[ProbeRow]:
    """The rows of one episode. `seed` serves methods that draw random numbers: each probe and episode its own."""
    seed_torch(seed, f"probe/{probe.name}/{episode.source}/{episode.index}")
    with torch.no_grad():
        return list(probe.measure(learner, method, episode, spare))


def _size(episode: Episode) -> tuple[int, int, int]:
    return episode.task.n_way, len(episode.task.support_y), len(episode.query_y)


def _columns(
    probe: Probe, episode: int | None, size: Sequence[int | None], row: ProbeRow
) -> dict[str, object]:
    sizes = dict(zip(("n_way", "n_support", "n_query"), size, strict=True))
    return {"probe": probe.name, "episode": episode, **sizes, **asdict(row)}


def _absent_row(probe: Probe, reason: str) -> dict[str, object]:
    """The one row that says why there are no others."""
    row = ProbeRow(condition="", quantity="", value=math.nan, n=0, reason=reason)
    return _columns(probe, None, (None, None, None), row)


@dataclass(kw_only=True)
class _Meter:
    """Counts episodes, each once for every probe, and says so now and then."""

    run_id: str
    total: int
    report: Report
    done: int = 0
    began: float = field(default_factory=time.perf_counter)
    told: float = field(default_factory=time.perf_counter)

    def add(self) -> None:
        """One more is done."""
        self.done += 1
        now = time.perf_counter()
        if now - self.told > REPORT_SECONDS or self.done == self.total:
            self.told = now
            rate = self.done / max(now - self.began, 1e-9)
            self.report(
                Progress(
                    run_id=self.run_id, state="probing", done=self.done, total=self.total, per_second=rate
                )
            )
