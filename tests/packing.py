"""Raw files as tests make them: drawn images, packed as people have them."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

FORMS = ("folder", "zip", "tar", "tar.gz", "tgz")


def drawn(number: int, size: tuple[int, int] = (12, 10), mode: str = "RGB", kind: str = "PNG") -> bytes:
    """An image file of `size` (width, height); each number has its own bright square."""
    pixels = np.full(
        (size[1], size[0], 3), (number * 37 % 200, number * 91 % 200, number * 53 % 200), np.uint8
    )
    pixels[number % 5 : number % 5 + 3, number % 7 : number % 7 + 3] = 255
    pixels[-2:, -2:] = 0
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind)
    return out.getvalue()


def pack(place: Path, name: str, files: Mapping[str, bytes], form: str) -> Path:
    """Write `files`, whose paths begin with `name`, as an archive `place/name.form` or the folder `place/name`."""
    place.mkdir(parents=True, exist_ok=True)
    if form == "folder":
        write_tree(place, files)
        return place / name
    path = place / f"{name}.{form}"
    # Not in sorted order, to see that the order of an archive does not matter.
    backwards = {member: files[member] for member in reversed(files)}
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in backwards.items():
                archive.writestr(member, content)
        return path
    with tarfile.open(path, "w" if form == "tar" else "w:gz") as tar:
        for member, content in backwards.items():
            add(tar, member, content)
    return path


def add(tar: tarfile.TarFile, member: str, content: bytes) -> None:
    info = tarfile.TarInfo(member)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def write_tree(place: Path, files: Mapping[str, bytes]) -> None:
    for member, content in files.items():
        (place / member).parent.mkdir(parents=True, exist_ok=True)
        (place / member).write_bytes(content)
