"""Omniglot as tests make it: six drawn characters, as archives, folders or Meta-Dataset's records."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness_datasets import omniglot_characters, omniglot_original
from harness_datasets.omniglot import Omniglot
from harness_datasets.omniglot_characters import characters
from harness_datasets.records_writing import bi_level_spec, write_records

SMALL = {
    "images_background": {"Greek": 2, "Tagalog": 1, "Latin": 1},
    "images_evaluation": {"ULOG": 2},
}


def drawing(number: int) -> bytes:
    """A PNG as in the archives: 1 bit, black ink on white; the ink depends on `number`."""
    pixels = np.full((21, 21), 255, np.uint8)
    pixels[2:6, 3 + number % 12 : 8 + number % 12] = 0
    pixels[10 : 12 + number // 12 % 8, 4:9] = 0
    out = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(out, "PNG")
    return out.getvalue()


def small_files() -> dict[str, bytes]:
    names = [
        f"{part}/{alphabet}/character{number:02}/{1000 + number}_{k:02}.png"
        for part, alphabets in SMALL.items()
        for alphabet, size in alphabets.items()
        for number in range(1, size + 1)
        for k in range(1, 21)
    ]
    return {name: drawing(i) for i, name in enumerate(names)}


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def write_archives(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in SMALL:
        with zipfile.ZipFile(folder / f"{part}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            # Not in sorted order, to see that the order of an archive does not matter.
            for name in reversed([name for name in files if name.startswith(part)]):
                archive.writestr(name, files[name])


def make_small(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """From now on a published Omniglot of six characters; returns its files."""
    for module in (omniglot_characters, omniglot_original):
        monkeypatch.setattr(module, "ALPHABETS", SMALL)
    monkeypatch.setattr(Omniglot, "native_size", 21)
    return small_files()


def write_recorded(folder: Path, files: dict[str, bytes], drawings: int = 20) -> None:
    """The same drawings as Meta-Dataset's converter writes them: by alphabet, in its split, with bright ink."""
    groups: dict[str, dict[str, list[str]]] = {}
    images, names = [], []
    for split in ("train", "valid", "test"):
        groups[split] = {}
        for character in characters("lake", split):
            alphabet, _, number = character.partition("/")
            names.append(f"{alphabet}-{number}")
            groups[split].setdefault(alphabet, []).append(names[-1])
            paths = sorted(name for name in files if f"/{character}/" in name)
            images.append([inverted(files[path]) for path in paths[:drawings]])
    spec = bi_level_spec("omniglot", groups, [drawings] * len(names))
    write_records(folder, spec, enumerate(images))


def inverted(png: bytes) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        Image.fromarray(255 - np.asarray(image.convert("L"))).save(out, "PNG")
    return out.getvalue()


def read_all(dataset: Omniglot, folder: Path) -> dict[str, Any]:
    return {
        split: list(dataset.read(split, list(dataset.class_sizes(split, folder)), folder))
        for split in dataset.splits
    }
