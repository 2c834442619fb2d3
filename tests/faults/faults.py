"""The faults: each disturbs an experiment and returns how the disturbed command ended and what it said.

`TROUBLES` go wrong in a run itself; the others come from outside.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scene import Scene, end, environment

SERIAL = ("--backend", "serial")

Ended = tuple[int, str]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """disturb: does it. codes: with which the disturbed command may end. says: what it must say, in any case."""

    title: str
    disturb: Callable[[Scene], Ended]
    codes: tuple[int, ...] = (0,)
    says: str = ""
    trouble: str = "none"


def _kill_a_worker(scene: Scene) -> Ended:
    process = scene.start()
    scene.wait(lambda: [run for run in scene.amid() if scene.worker_of(run)], process)
    run = next(run for run in scene.training() if scene.worker_of(run))
    os.kill(scene.worker_of(run), signal.SIGKILL)
    return scene.finish(process)


def _kill_a_worker_without_retries(scene: Scene) -> Ended:
    scene.more = ("Experiment.resources = @Resources()", "Resources.retries = 0")
    return _kill_a_worker(scene)


def _remove_a_node(scene: Scene) -> Ended:
    from ray.cluster_utils import Cluster

    os.environ |= environment(
        scene.place
    )  # which its workers inherit, and the other faults replace by their own
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        process = scene.start(backend=("--address", cluster.address))
        scene.wait(lambda: len(scene.amid()) > 1, process)
        cluster.remove_node(node, allow_graceful=False)
        return scene.finish(process)
    finally:
        cluster.shutdown()


def _kill_the_driver(scene: Scene) -> Ended:
    process = scene.start()
    scene.wait(scene.amid, process)
    process.kill()
    process.wait()
    return process.returncode, ""  # the next command begins at once


def _terminate(scene: Scene) -> Ended:
    process = scene.start()
    scene.wait(scene.amid, process)
    process.send_signal(signal.SIGTERM)
    return scene.finish(process)


def _mounted(scene: Scene, megabytes: float) -> None:
    scene.out.mkdir()
    options = f"size={int(megabytes * 1024)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(scene.out)], check=True)


def _remount(scene: Scene, options: str) -> bool:
    done = subprocess.run(
        ["mount", "-o", f"remount,{options}", str(scene.out)], capture_output=True, check=False
    )
    return done.returncode == 0


def _fill_the_disk(scene: Scene) -> Ended:
    _mounted(scene, 64)
    process = scene.start()
    scene.wait(scene.amid, process)
    filler = scene.out / "filler"
    with filler.open("wb", buffering=0) as handle:
        try:
            while True:
                handle.write(b"x" * 4096)
        except OSError:
            pass
    ended = scene.finish(process)
    filler.unlink()
    return ended


def _make_it_read_only(scene: Scene) -> Ended:
    _mounted(scene, 64)
    process = scene.start()
    scene.wait(scene.amid, process)
    scene.wait(lambda: _remount(scene, "ro"), process)
    ended = scene.finish(process)
    while not _remount(scene, "rw"):
        time.sleep(0.1)
    return ended


def _interrupted(scene: Scene) -> tuple[Ended, Path]:
    """An experiment that was stopped in the midst of a training, and that run."""
    process = scene.start()
    scene.wait(lambda: scene.amid(least=120), process)
    run = scene.training()[0]
    process.send_signal(signal.SIGTERM)
    return scene.finish(process), run


def _damage_a_checkpoint(scene: Scene) -> Ended:
    ended, run = _interrupted(scene)
    content = (run / "checkpoint.pt").read_bytes()
    (run / "checkpoint.pt").write_bytes(content[: len(content) // 2])
    return ended


def _damaged(scene: Scene, name: str, damage: Callable[[bytes], bytes]) -> Ended:
    """A whole experiment, of one of whose runs a file is replaced; the others' results must stay."""
    ended = scene.run()
    run, *others = scene.finished()
    (run / name).write_bytes(damage((run / name).read_bytes()))
    scene.note_finished()
    scene.kept = {other.name: scene.kept[other.name] for other in others}
    return ended


def _damage_a_status(scene: Scene) -> Ended:
    return _damaged(scene, "status.json", lambda _: b'{"state": "do')


def _damage_results(scene: Scene) -> Ended:
    return _damaged(scene, "episodes.parquet", lambda content: content[: len(content) // 2])


def _change_results(scene: Scene) -> Ended:
    def within(content: bytes) -> bytes:
        half = len(content) // 2
        return content[:100] + bytes(half - 100) + content[half:]

    return _damaged(scene, "episodes.parquet", within)


def _damage_a_pool(scene: Scene) -> Ended:
    ended, _ = _interrupted(scene)
    with _test_pool(scene).open("r+b") as handle:
        handle.truncate(_test_pool(scene).stat().st_size // 2)
    return ended


def _change_a_pool(scene: Scene) -> Ended:
    ended, _ = _interrupted(scene)
    size = _test_pool(scene).stat().st_size
    with _test_pool(scene).open("r+b") as handle:
        handle.seek(size // 3)
        handle.write(bytes(size // 3))
    return ended


def _test_pool(scene: Scene) -> Path:
    """The pixels of the test split."""
    (path,) = (scene.cache / "pools").glob("glyphs-test*/images.npy")
    return path


def _run(scene: Scene) -> Ended:
    ended = scene.run()
    scene.note_finished()  # in spite of the run that went wrong
    return ended


def _hang(scene: Scene) -> Ended:
    scene.more = ("Experiment.resources = @Resources()", "Resources.hours = 0.01")
    return _run(scene)


def _two_at_once(scene: Scene) -> Ended:
    first, second = scene.start(backend=SERIAL), scene.start(backend=SERIAL)
    try:
        ended = [scene.finish(process) for process in (first, second)]
    finally:
        end(first)
        end(second)
    return max(code for code, _ in ended), "\n".join(said for _, said in ended)


FAULTS = (
    Fault(title="a worker is killed (kill -9) in training", disturb=_kill_a_worker),
    Fault(
        title="the same, without a second try",
        disturb=_kill_a_worker_without_retries,
        codes=(1,),
        says="The worker process was killed",
    ),
    Fault(title="one of two nodes of a Ray cluster goes", disturb=_remove_a_node),
    Fault(title="the driver is killed (kill -9)", disturb=_kill_the_driver, codes=(-9,)),
    Fault(title="SIGTERM", disturb=_terminate, codes=(130,), says="state kept"),
    Fault(title="the disk fills", disturb=_fill_the_disk, codes=(1, 2), says="the disk is full"),
    Fault(
        title="the folder becomes read-only", disturb=_make_it_read_only, codes=(1, 2), says="not writable"
    ),
    Fault(title="a checkpoint is damaged", disturb=_damage_a_checkpoint, codes=(130,)),
    Fault(title="a finished run's status.json is damaged", disturb=_damage_a_status),
    Fault(title="a finished run's episodes.parquet is damaged", disturb=_damage_results),
    Fault(title="the same, but its end is whole (damaged within)", disturb=_change_results),
    Fault(title="a pool is damaged", disturb=_damage_a_pool, codes=(130,)),
    Fault(title="pixels of a pool are changed (damaged within)", disturb=_change_a_pool, codes=(130,)),
    Fault(
        title="a method raises",
        disturb=_run,
        codes=(1,),
        says="ValueError: the plugin is wrong",
        trouble="raise",
    ),
    Fault(
        title="a method's loss is NaN", disturb=_run, codes=(1,), says="is nan at iteration", trouble="nan"
    ),
    Fault(
        title="a method hangs", disturb=_hang, codes=(1,), says="longer than Resources.hours", trouble="hang"
    ),
    Fault(
        title="a run asks for more memory than there is",
        disturb=_run,
        codes=(1,),
        says="MemoryError",
        trouble="memory",
    ),
    Fault(title="a run is killed as when memory runs out", disturb=_run, trouble="kill"),
    Fault(title="two commands at once", disturb=_two_at_once, says="waiting for it"),
)
