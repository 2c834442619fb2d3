"""What trackers have written, read back with their own libraries' readers, and runs for them to write."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.tracking.tracker import NEW, TrackedRun

Points = dict[str, list[tuple[int, float]]]
"""Name -> (step, number) in the order they were logged."""

RUN = "maml-glyphs-s0-0123456789"
RESULTS = {"test_accuracy/glyphs": 0.75, "test_ci95/glyphs": 0.125}


def moment(*steps: int, before: str = NEW, done: bool = False, state: str = "training") -> TrackedRun:
    """A run whose curve has these steps; the loss at each is 2 ** -step, and no accuracy is measured at 0."""
    curve = [
        {"iteration": k, "loss": 2.0**-k, "valid_accuracy": k / 8 if k else None, "seconds": k / 2}
        for k in steps
    ]
    return TrackedRun(
        run_id=RUN,
        settings={
            "method": "maml",
            "method.inner_lr": 0.5,
            "train.iterations": 4,
            "method.first_order": False,
        },
        before=before,
        state="done" if done else state,
        curve=curve,
        results=RESULTS if done else {},
        tested_step=2 if done else 0,
    )


def expected(*steps: int, done: bool = True) -> Points:
    """What a tracker has of `moment(*steps, done=done)`."""
    points: Points = {}
    for run_steps, _, numbers in moment(*steps).points:
        for name, number in numbers.items():
            points.setdefault(name, []).append((run_steps, number))
    return points | ({name: [(2, number)] for name, number in RESULTS.items()} if done else {})


def event_points(folder: Path) -> Points:
    """The scalars of a folder of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)] for name in found.Tags()["scalars"]
    }


def event_settings(folder: Path) -> dict[str, Any]:
    """The hyperparameters of a folder of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import (
        SESSION_START_INFO_TAG,
        parse_session_start_info_plugin_data,
    )

    found = EventAccumulator(str(folder))
    found.Reload()
    content = found.summary_metadata[SESSION_START_INFO_TAG].plugin_data.content
    values = parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def mlflow_runs(folder: Path) -> list[tuple[Any, Points]]:
    """The runs in the database in `folder`, the latest first, each with its metrics."""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return [
        (
            run,
            {
                name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
        )
        for run in found
    ]


def offline_run(file: Path) -> tuple[Any, Points, dict[str, Any]]:
    """The run record of a .wandb file, what was logged by step, and the summary."""
    from wandb.proto.wandb_internal_pb2 import Record

    run, points, summary = None, Points(), {}
    for content in _wandb_contents(file.read_bytes()):
        record = Record.FromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
        elif kind == "history":
            row = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in record.history.item
            }
            for name, number in row.items():
                if not name.startswith("_"):
                    points.setdefault(name, []).append((row["_step"], number))
        elif kind == "summary":
            summary |= {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in record.summary.update
            }
    return run, points, summary


def _wandb_contents(data: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: LevelDB's log format, in blocks of 32 KiB, after 7 bytes of its own."""
    place, block, parts = 7, 32768, b""
    while place + 7 <= len(data):
        if block - place % block < 7:
            place += block - place % block
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield parts
            parts = b""
