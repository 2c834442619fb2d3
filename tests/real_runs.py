"""Small real runs, and what they left behind."""

import dataclasses

import pandas as pd
import torch

from harness import checkpoint
from harness.progress import Progress
from harness.spec import RunSpec
from harness.store import Workspace

SAME_NUMBERS = ["method", "source", "seed", "episode", "accuracy", "loss"]


def silent(progress: Progress) -> None:
    pass


def numbers(spec: RunSpec, workspace: Workspace) -> pd.DataFrame:
    return pd.read_parquet(workspace.folder(spec.run_id).episodes)[SAME_NUMBERS]


def weights(spec: RunSpec, workspace: Workspace) -> dict[str, torch.Tensor]:
    content = checkpoint.load(workspace.folder(spec.run_id).checkpoint, spec.training_id)
    assert content is not None
    return content["learner"]  # type: ignore[no-any-return]


def elsewhere(workspace: Workspace, name: str) -> Workspace:
    runs = workspace.runs.parent / name
    runs.mkdir()
    return dataclasses.replace(workspace, runs=runs)
