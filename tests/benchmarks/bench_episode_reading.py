"""How fast episodes are read: Meta-Dataset's variable-way Omniglot test episodes at 84x84x3, from a prepared pool.

    python tests/benchmarks/bench_episode_reading.py [--data DIR] [--out FILE]

Prints a Markdown table. Everything is measured in the same run, in turns, as other work on the machine comes and
goes: each round measures every line once, and the table has the minimum, median and maximum over the rounds.
Every process has one torch thread, as a worker has. The two yardsticks, each a usual way to read images, are
described at `read_files` and `TENSORFLOW`.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import conv2d

from harness import plugins
from harness.dataset import ClassGroups, ClassImages, native_size
from harness.environment import describe_environment, keep_freed_memory
from harness.episode import VariableShape
from harness.episode_sequence import SourceSequence
from harness.pools import Pool, class_rows, ensure_pool, open_pool
from harness.spec import ImageSpec, SourceSpec
from harness.variable_sampling import make_sampler
from harness_datasets.omniglot import Omniglot

IMAGES = ImageSpec(size=84, channels=3, scaling="signed", resize="bilinear")
OMNIGLOT = Omniglot(split="lake")
PART = "images_evaluation"
WARM_UP, TIMES = 30, 10

META_DATASET = 21.0
"""Episodes/s of Meta-Dataset's own reader and sampler on these episodes, measured on two cores."""

TENSORFLOW = """
import sys, time
from pathlib import Path
import tensorflow as tf
folder, seconds, cores = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
tf.config.threading.set_intra_op_parallelism_threads(cores)
tf.config.threading.set_inter_op_parallelism_threads(cores)
path = folder / "all.tfrecords"
if not path.exists():
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image in sorted(folder.rglob("*.png")):
            value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.read_bytes()]))
            writer.write(tf.train.Example(features=tf.train.Features(feature={"image": value})).SerializeToString())

def parse(record):
    example = tf.io.parse_single_example(record, {"image": tf.io.FixedLenFeature([], tf.string)})
    image = tf.cast(tf.io.decode_png(example["image"], channels=3), tf.float32)
    return 2 * (tf.compat.v1.image.resize_bilinear(image[None], [84, 84], align_corners=True)[0] / 255 - 0.5)

records = tf.data.TFRecordDataset(str(path)).repeat()
batches = iter(records.map(parse, num_parallel_calls=cores).batch(256).prefetch(1))
for _ in range(20):
    next(batches)
began, seen = time.perf_counter(), 0
while time.perf_counter() - began < seconds:
    seen += int(next(batches).shape[0])
print(seen / (time.perf_counter() - began))
"""
"""Records in the order of one file: parsed, decoded, resized, scaled and batched by tf.data on all cores, with no
sampling at all. A reader that gathers episodes from such records does all of that and more."""


@dataclass(frozen=True)
class Rate:
    """What was done: episodes and images a second, and the largest resident memory of a process, MiB."""

    episodes: float
    images: float
    resident: float = 0.0


Read = Callable[[int], int]
"""Reads episode k and says how many images it had."""


@dataclass(frozen=True)
class Tenfold:
    """The images of a pool ten times over: ten times its classes and groups."""

    pool: Pool
    name: str = "tenfold"
    channels: int = 1
    splits: tuple[str, ...] = ("test",)
    needs_data: bool = False
    native_size: int = 84

    def fingerprint(self, data_dir: Path | None) -> str:
        return self.pool.sha256[:16]

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        sizes = self.pool.class_sizes.tolist()
        return {f"{copy}/{c}": size for copy in range(TIMES) for c, size in enumerate(sizes)}

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        groups = self.pool.groups
        if groups is None:
            return None
        named = list(zip(groups.names, groups.members, strict=True))
        members = {f"{copy}/{n}": [f"{copy}/{c}" for c in m] for copy in range(TIMES) for n, m in named}
        return ClassGroups(kind=groups.kind, members=members)

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        rows = class_rows(self.pool)
        for name in classes:
            yield name, self.pool.images[np.array(rows[int(name.partition("/")[2])])]


def prepare(dataset: Any, split: str, data_dir: Path | None, cache: Path) -> Pool:
    component = plugins.Component(plugin=dataset.name, params={})
    spec = SourceSpec(
        name=dataset.name,
        component=component,
        fingerprint=dataset.fingerprint(data_dir),
        native_size=native_size(dataset),
    )
    return ensure_pool(dataset, spec, split, IMAGES, data_dir=data_dir, cache=cache)


def read_pool(cache: Path, key: str) -> Read:
    """Ours: what training and evaluation call."""
    sequence = SourceSequence(open_pool(cache, key), VariableShape(), IMAGES, seed=0)

    def read(k: int) -> int:
        task = sequence[k].task
        return len(task.support_x) + len(task.query_x)

    return read


def read_files(cache: Path, key: str, folder: Path) -> Read:
    """The same episodes, an image at a time: each a PNG file, opened, decoded, resized and scaled by PIL and torch."""
    pool = open_pool(cache, key)
    files = [path for name in pool.class_names for path in sorted((folder / PART / name).glob("*.png"))]
    groups = pool.groups
    assert groups is not None
    sampler = make_sampler(
        pool.class_sizes,
        VariableShape(),
        groups=groups.members,
        kind=groups.kind,
        seed=0,
        stream=f"{pool.source}/{pool.split}",
    )

    def image(row: int) -> torch.Tensor:
        with Image.open(files[row]) as opened:
            sized = opened.convert("RGB").resize((84, 84), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(sized)).permute(2, 0, 1).to(torch.float32).div_(127.5).sub_(1)

    def read(k: int) -> int:
        rows = sampler[k]
        return sum(
            len(torch.stack([image(row) for row in part.tolist()])) for part in (rows.support, rows.query)
        )

    return read


def _work(make: Callable[[], Read], number: int, seconds: float, start: Any, results: Any) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    read = make()
    for k in range(WARM_UP):
        read(k)
    start.wait()
    began, images, k = time.perf_counter(), 0, 0
    while time.perf_counter() - began < seconds:
        images += read(number * 1_000_000 + k)
        k += 1
    spent = time.perf_counter() - began
    results.put(Rate(k / spent, images / spent, _resident()))


def _resident() -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(make: Callable[[], Read], processes: int, seconds: float) -> Rate:
    """The rates of so many processes at once, added up."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_work, args=(make, number, seconds, start, results))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    rates = [results.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    return Rate(
        sum(rate.episodes for rate in rates),
        sum(rate.images for rate in rates),
        max(rate.resident for rate in rates),
    )


def measure_tensorflow(folder: Path, seconds: float, per_episode: float) -> Rate:
    command = [sys.executable, "-c", TENSORFLOW, str(folder), str(seconds), str(os.cpu_count())]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    )
    images = float(done.stdout)
    return Rate(images / per_episode, images)


def convolution_times() -> dict[str, float]:
    """Microseconds an image of Conv4's first convolution on 128 grey images as three channels: the median of 9."""
    grey = torch.rand(128, 84, 84, 1).permute(0, 3, 1, 2)
    weight = torch.rand(64, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    repeated = grey.expand(-1, 3, -1, -1)
    inputs = {
        "channels last": repeated.contiguous(memory_format=torch.channels_last),
        "three times the same memory": repeated,
        "channels first": repeated.contiguous(memory_format=torch.contiguous_format),
    }
    times: dict[str, list[float]] = {name: [] for name in inputs}
    for _ in range(9):
        for name, x in inputs.items():
            began = time.perf_counter()
            with torch.no_grad():
                conv2d(x, weight, padding=1)
            times[name].append((time.perf_counter() - began) / len(x) * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}


def spread(values: Sequence[float]) -> str:
    return f"{min(values):,.0f} / {statistics.median(values):,.0f} / {max(values):,.0f}"


def table(rates: Mapping[str, list[Rate]]) -> list[str]:
    lines = [
        f"| reader | episodes/s (min / median / max) | images/s (median) | x Meta-Dataset's {META_DATASET:.0f} | MiB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, found in rates.items():
        episodes = [rate.episodes for rate in found]
        images = statistics.median(rate.images for rate in found)
        times, resident = statistics.median(episodes) / META_DATASET, max(rate.resident for rate in found)
        lines.append(
            f"| {name} | {spread(episodes)} | {images:,.0f} | {times:.1f} | {f'{resident:.0f}' if resident else ''} |"
        )
    return lines


def run(data_dir: Path, rounds: int, seconds: float, place: Path) -> list[str]:
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    took, pools = {}, {}
    for split in OMNIGLOT.splits:
        began = time.perf_counter()
        pools[split] = prepare(OMNIGLOT, split, data_dir, place)
        took[split] = time.perf_counter() - began
    test = pools["test"]
    large = prepare(Tenfold(test), "test", None, place)
    with zipfile.ZipFile(data_dir / "omniglot" / f"{PART}.zip") as archive:
        archive.extractall(place)
    sampled = read_pool(place, test.key)
    per_episode = statistics.mean(sampled(k) for k in range(200))
    ours, tenfold = partial(read_pool, place, test.key), partial(read_pool, place, large.key)
    files = partial(read_files, place, test.key, place)
    lines: dict[str, Callable[[], Rate]] = {
        "ours, 1 process": lambda: measure(ours, 1, seconds),
        "ours, 2 processes": lambda: measure(ours, 2, seconds),
        f"ours, 1 process, a pool {TIMES} times larger": lambda: measure(tenfold, 1, seconds),
        "PNG files with PIL and torch, 2 processes": lambda: measure(files, 2, seconds),
        "tf.data over TFRecords in order, without sampling": lambda: measure_tensorflow(
            place, seconds, per_episode
        ),
    }
    rates: dict[str, list[Rate]] = {name: [] for name in lines}
    for _ in range(rounds):
        for name, line in lines.items():
            rates[name].append(line())
    environment = describe_environment()
    sizes = [pool.images.shape[0] for pool in pools.values()]
    convolution = ", ".join(f"{name} {spent:.0f}" for name, spent in convolution_times().items())
    return [
        *table(rates),
        "",
        f"{rounds} rounds of {seconds:g} s a line; {environment['cpu']}, {environment['cores']} cores, torch "
        f"{environment['torch']}; load before {load:.1f}, after {os.getloadavg()[0]:.1f}. {per_episode:.0f} images "
        "an episode. MiB: the largest resident memory of a process "
        f"({sum(sizes[-1:]) * 84 * 84 / 2**20:.0f} MiB of pixels in the pool, {TIMES} times that in the larger one).",
        "",
        f"Preparing the pools at 84 pixels, from the two archives: {sum(took.values()):.1f} s for {sum(sizes):,} "
        f"images ({', '.join(f'{split} {spent:.1f}' for split, spent in took.items())}).",
        "",
        f"Conv4's first convolution, microseconds an image by the memory of its input: {convolution}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = os.environ.get("HARNESS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="the folder that has omniglot/*.zip")
    parser.add_argument("--out", type=Path, help="write the table into this file too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        text = "\n".join(run(Path(options.data), options.rounds, options.seconds, Path(place))) + "\n"
    print(text, end="")
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
