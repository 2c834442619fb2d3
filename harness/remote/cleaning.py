"""`harness clean` on a URL: done on an outline of it, then what is gone from that is deleted there."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness import upkeep
from harness.lease import held
from harness.remote.looking import outlined
from harness.remote.objects import Objects
from harness.remote.places import Url, mirror_of
from harness.remote.run_mirror import STATUS
from harness.remote.tombstones import leave
from harness.standing import runs_of_record


def clean_at(url: Url, kinds: Sequence[str], cache: Path, console: Console) -> None:
    """As `upkeep.clean`. Mirrors of the experiment, on any machine, follow when runs are next worked on there."""
    objects = Objects(url=url.text)
    runs_of_record(outlined(url, cache))  # there is something to clean

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    with held(mirror_of(cache, url.text) / "runs", say, url=url.text):
        folder = outlined(url, cache)
        before = _files(folder)
        upkeep.clean_held(folder, kinds, lambda text: say(text.replace(str(folder), url.text)))
        gone = sorted(before - _files(folder), key=lambda key: (not key.endswith(f"/{STATUS}"), key))
        objects.delete(gone)
        runs = {key.split("/")[1] for key in gone if key.startswith("runs/") and key.count("/") > 1}
        leave(objects, sorted(run_id for run_id in runs if not (folder / "runs" / run_id).exists()))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
