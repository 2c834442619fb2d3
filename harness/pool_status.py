"""Which pools are prepared: for planning without raw data, and to show."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import DataError, HarnessError
from harness.files import write_json
from harness.plugins import Component
from harness.pool_journal import JOURNAL
from harness.pool_lock import FOLDER
from harness.pool_writing import PoolFacts
from harness.pools import PARTIAL, open_pool, read_facts, usable_pool
from harness.spec import canonical

USES = "used_by.json"


def find_prepared(cache: Path, component: Component) -> str | None:
    """The fingerprint of the newest usable pool of this source with these parameters, or None.

    With it, a source whose raw data is gone can still be used from its pools.
    """
    wanted = canonical(component)
    known = [
        (f.prepared, f.fingerprint)
        for key, f in _all_facts(cache)
        if f.component == wanted and usable_pool(cache, key)
    ]
    return max(known)[1] if known else None


def status(cache: Path) -> list[dict[str, Any]]:
    """One row per pool folder, sorted by key.

    Keys: key, source, split, image_size, channels, classes, images, bytes (on disk), fingerprint, sha256,
    prepared, used_by (names of experiments), and problem (None, or why it cannot be used; the others are then
    None where unknown).
    """
    rows = []
    for folder in _folders(cache):
        row: dict[str, Any] = dict.fromkeys(
            (
                "source",
                "split",
                "image_size",
                "channels",
                "classes",
                "images",
                "fingerprint",
                "sha256",
                "prepared",
            )
        )
        row |= {"key": folder.name, "bytes": sum(f.stat().st_size for f in folder.iterdir()), "problem": None}
        row["used_by"] = used_by(cache, folder.name)
        try:
            facts = read_facts(folder)
            row |= {name: getattr(facts, name) for name in row.keys() & asdict(facts).keys()}
            row |= {"source": facts.name, "classes": len(facts.class_names), "images": sum(facts.class_sizes)}
            open_pool(cache, folder.name)
        except DataError as error:
            row["problem"] = str(error)
        rows.append(row)
    return rows


def interrupted(cache: Path) -> list[tuple[str, int]]:
    """Pools whose preparation was interrupted and can be carried on: key, classes done."""
    parent = cache / FOLDER
    found = sorted(parent.glob(f".*{PARTIAL}")) if parent.is_dir() else []
    return [(path.name[1 : -len(PARTIAL)], _lines(path / JOURNAL)) for path in found]


def note_use(cache: Path, key: str, experiment: str) -> None:
    """Remember that an experiment uses a pool; a cache that cannot be written is no reason to stop."""
    known = used_by(cache, key)
    if experiment not in known:
        with suppress(HarnessError):
            write_json(cache / FOLDER / key / USES, sorted([*known, experiment]))


def used_by(cache: Path, key: str) -> list[str]:
    """The experiments that have used a pool, as far as is known."""
    try:
        known = json.loads((cache / FOLDER / key / USES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in known if isinstance(name, str)] if isinstance(known, list) else []


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def _folders(cache: Path) -> list[Path]:
    parent = cache / FOLDER
    found = parent.iterdir() if parent.is_dir() else iter(())
    return sorted(p for p in found if p.is_dir() and not p.name.startswith("."))


def _all_facts(cache: Path) -> Iterator[tuple[str, PoolFacts]]:
    for folder in _folders(cache):
        with suppress(DataError):
            yield folder.name, read_facts(folder)
