"""Data sets that tensorflow-datasets (TFDS) has prepared: finding them, and what their own files say of them.

`<folder>/<builder>[/<config>]/<version>/` holds `dataset_info.json`, `features.json`, the names of the labels and
the shards. All of that is read here without tensorflow and without the builder's code, which need not be installed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, DataError, did_you_mean, named_choices

INFO, FEATURES = "dataset_info.json", "features.json"
TFRECORD, ARRAY_RECORD = FORMATS = ("tfrecord", "array_record")
PLACES = ("", "tfds", "tensorflow_datasets")
"""Folders below that of the raw data which may be a TFDS data folder."""

DEFAULT_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
EDGE = 64 * 1024

_BUILDER = re.compile(r"(?P<name>\w+)(/(?P<config>[^/:]+))?(:(?P<version>\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Shard:
    """One file of records: its path, and how many records TFDS wrote into it."""

    path: Path
    records: int


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A prepared data set in `folder`.

    builder: `name` or `name/config`. file_format: one of `FORMATS`. shards: (TFDS split, its shards), as written.
    """

    folder: Path
    builder: str
    version: str
    file_format: str
    shards: tuple[tuple[str, tuple[Shard, ...]], ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The TFDS splits, which are of images and have nothing to do with ours, of classes."""
        return tuple(name for name, _ in self.shards)

    def shards_of(self, splits: tuple[str, ...]) -> tuple[Shard, ...]:
        """The shards of these TFDS splits, one after the other. Raises DataError for a split that is not there."""
        there = dict(self.shards)
        for split in splits:
            if split not in there:
                raise DataError(
                    f"The TFDS data set {self.builder!r} in {self.folder} has no split {split!r}."
                    f"{did_you_mean(split, there)} It has {named_choices(there)}: prepare all of it with "
                    "tensorflow-datasets, or name other splits."
                )
        return tuple(shard for split in splits for shard in there[split])

    def label_names(self, label: str) -> tuple[str, ...]:
        """The names of a class label in the order of its numbers; the numbers themselves where it has no names.

        Raises DataError unless the data set has a class label of that name.
        """
        features = _features(self.folder)
        if label not in features:
            raise self._wrong_feature("label", label, features, "classLabel")
        content = features[label]
        if "classLabel" not in content:
            kind = str(content.get("pythonClassName", "?")).rpartition(".")[2]
            raise DataError(
                f"The feature {label!r} of the TFDS data set {self.builder!r} in {self.folder} is {kind}, not a class "
                f"label. {_of_kind(features, 'classLabel', 'class label')}"
            )
        file = self.folder / f"{label.replace('/', '.')}.labels.txt"
        count = int(content["classLabel"].get("numClasses", 0))
        names = (
            tuple(line.strip() for line in _text(file).split("\n") if line.strip())
            if file.is_file()
            else tuple(map(str, range(count)))
        )
        if len(names) != count or len(set(names)) != count or not names:
            raise DataError(
                f"{file} names {len(set(names))} labels, but {FEATURES} beside it says {count}. "
                "Prepare the data set again."
            )
        return names

    def check_image(self, image: str) -> None:
        """Raise DataError unless the data set has a feature of that name with images of 8 bits a channel."""
        features = _features(self.folder)
        if image not in features:
            raise self._wrong_feature("image", image, features, "image")
        content = features[image]
        kind = str(content.get("pythonClassName", "?")).rpartition(".")[2]
        dtype = content.get("image", {}).get("dtype", "uint8")
        if kind != "Image" or dtype != "uint8":
            what = f"{kind}, not an Image" if kind != "Image" else f"an Image of {dtype}, not of uint8"
            raise DataError(
                f"The feature {image!r} of the TFDS data set {self.builder!r} in {self.folder} is {what}. "
                f"{_of_kind(features, 'image', 'image')}"
            )

    def metadata(self) -> dict[str, Any]:
        """What the builder noted besides. Raises DataError where `metadata.json` is missing or damaged."""
        return _json(self.folder / "metadata.json")

    def fingerprint(self, splits: tuple[str, ...]) -> str:
        """16 hexadecimal digits: of what the data set is and of each shard's name, size and first and last 64 KiB.

        A change in the middle of a shard that leaves its size alone goes unnoticed here: the checksums of the
        records find it when they are read. Raises DataError for a shard that is missing.
        """
        about = (self.builder, self.version, self.file_format, splits)
        shards = tuple((shard, _stamp(shard.path)) for shard in self.shards_of(splits))
        digest = hashlib.sha256(repr(about).encode())
        for path in (self.folder / FEATURES, *sorted(self.folder.glob("*.labels.txt"))):
            digest.update(_text(path).encode())
        digest.update(_edges(shards).encode())
        return digest.hexdigest()[:16]

    def _wrong_feature(self, what: str, name: str, features: Mapping[str, Any], key: str) -> DataError:
        return DataError(
            f"The TFDS data set {self.builder!r} in {self.folder} has no {what} feature {name!r}."
            f"{did_you_mean(name, features)} {_of_kind(features, key, what)}"
        )


def find_prepared(data_dir: Path, builder: str) -> Prepared | None:
    """The prepared data set of a builder, None where there is none.

    builder: `name`, `name/config`, either with `:version`; without a version the newest. Looks in `data_dir` and
    in the folders `tfds` and `tensorflow_datasets` below it, and at `data_dir` where it is the builder's own
    folder or that of the version.
    Raises ConfigError for a builder's name that is none, and DataError where several configurations are there
    and none is named, and for a damaged `dataset_info.json`.
    """
    name, config, version = builder_parts(builder)
    if (data_dir / INFO).is_file():
        here = _read(data_dir)
        fits = here.builder == name or here.builder.startswith(f"{name}/")
        asked = (config is None or here.builder == f"{name}/{config}") and version in (None, here.version)
        return here if fits and asked else None
    itself = [top for top in (data_dir, data_dir.parent) if top.name == name]
    for base in (*itself, *(data_dir / place / name for place in PLACES)):
        if (folder := _newest(base, name, config, version)) is not None:
            return _read(folder)
    return None


def builder_parts(builder: str) -> tuple[str, str | None, str | None]:
    """The name, configuration and version of `name/config:version`. Raises ConfigError for another form."""
    match = _BUILDER.fullmatch(builder)
    if match is None:
        raise ConfigError(
            "The name of a TFDS builder must be as in 'cifar10', 'imagenet_resized/32x32' or 'cifar10:3.0.2'; got "
            f"{builder!r}."
        )
    return match["name"], match["config"], match["version"]


def _newest(base: Path, name: str, config: str | None, version: str | None) -> Path | None:
    """The folder of the wanted or the newest version of a builder, which lies in `base`."""
    if config is not None:
        return _newest(base / config, f"{name}/{config}", None, version)
    if not base.is_dir():
        return None
    found = [path for path in base.iterdir() if _VERSION.fullmatch(path.name) and (path / INFO).is_file()]
    if version is not None:
        found = [path for path in found if path.name == version]
    if found or "/" in name:
        return max(found, key=lambda path: [int(part) for part in path.name.split(".")], default=None)
    configs = [path for path in sorted(base.iterdir()) if path.is_dir()]
    inside = [path for each in configs if (path := _newest(each, f"{name}/{each.name}", None, version))]
    if len(inside) > 1:
        names = [path.parent.name for path in inside]
        raise DataError(
            f"{base} has {len(names)} configurations of the TFDS data set {name!r}: {named_choices(names)}. Name one "
            f"as the builder, as in {f'{name}/{names[0]}'!r}."
        )
    return inside[0] if inside else None


def _read(folder: Path) -> Prepared:
    """What `dataset_info.json` in a folder says."""
    info = _json(folder / INFO)
    try:
        name, config = str(info["name"]), str(info.get("configName", ""))
        version, file_format = str(info["version"]), str(info.get("fileFormat") or TFRECORD)
        shards = tuple(
            (str(split["name"]), _shards(folder, name, file_format, split)) for split in info["splits"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder / INFO} does not describe a prepared data set ({type(error).__name__}: {error}). "
            "Prepare it again with tensorflow-datasets."
        ) from error
    if file_format not in FORMATS:
        raise DataError(
            f"The TFDS data set in {folder} was prepared as {file_format!r}, and {named_choices(FORMATS)} can be read. "
            "Prepare it again with file_format='array_record'."
        )
    builder = f"{name}/{config}" if config else name
    return Prepared(folder=folder, builder=builder, version=version, file_format=file_format, shards=shards)


def _shards(folder: Path, name: str, file_format: str, split: Mapping[str, Any]) -> tuple[Shard, ...]:
    lengths = [int(length) for length in split.get("shardLengths", [])]
    template = str(split.get("filepathTemplate") or DEFAULT_TEMPLATE)
    found = []
    for number, length in enumerate(lengths):
        index, total = f"{number:05}", f"{len(lengths):05}"
        places = {
            "DATASET": name,
            "SPLIT": str(split["name"]),
            "FILEFORMAT": file_format,
            "SHARD_INDEX": index,
            "NUM_SHARDS": total,
            "SHARD_X_OF_Y": f"{index}-of-{total}",
        }
        file = template.format_map(places)
        if Path(file).name != file:
            raise ValueError(f"its shards are not in its folder: {template}")
        found.append(Shard(folder / file, length))
    return tuple(found)


def _features(folder: Path) -> dict[str, Any]:
    """Name -> what `features.json` says of each feature at the top."""
    content = _json(folder / FEATURES)
    try:
        return dict(content["featuresDict"]["features"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / FEATURES} does not describe named features as tensorflow-datasets 4.9 writes them. "
            "Prepare the data set again with it."
        ) from error


def _of_kind(features: Mapping[str, Any], key: str, what: str) -> str:
    """Which features of a kind there are, as a next step."""
    fitting = [name for name, content in features.items() if isinstance(content, dict) and key in content]
    if not fitting:
        return f"It has no {what} feature: it cannot be read as images in classes."
    return f"Its {what} features are {named_choices(fitting)}: name one of them."


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise DataError(f"{path} is no JSON text ({error}). Prepare the data set again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object. Prepare the data set again.")
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}). Prepare the data set again.") from error


def _stamp(path: Path) -> tuple[int, int]:
    try:
        now = path.stat()
    except OSError as error:
        raise DataError(
            f"The shard {path} of a TFDS data set cannot be read ({error.strerror or error}). Fetch or prepare all "
            "shards again."
        ) from error
    return now.st_size, now.st_mtime_ns


# A plan asks for a source's fingerprint several times, and ImageNet has 1024 shards: this remembers a pure function
# of files that did not change.
@lru_cache(maxsize=16)
def _edges(shards: tuple[tuple[Shard, tuple[int, int]], ...]) -> str:
    """A digest of the name, the size, and the first and last 64 KiB of each shard."""
    digest = hashlib.sha256()
    for shard, (size, _) in shards:
        try:
            with shard.path.open("rb") as stream:
                edges = stream.read(EDGE)
                stream.seek(max(size - EDGE, len(edges)))
                edges += stream.read(EDGE)
        except OSError as error:
            raise DataError(f"The shard {shard.path} cannot be read ({error}). Prepare it again.") from error
        digest.update(f"{shard.path.name} {size} ".encode() + hashlib.sha256(edges).digest())
    return digest.hexdigest()
