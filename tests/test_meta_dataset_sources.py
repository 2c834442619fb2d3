"""The ten sources of Meta-Dataset as plugins: what they say of themselves, and the official specifications."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness import plugins
from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets.fungi import Fungi
from harness_datasets.ilsvrc_2012 import ILSVRC2012
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.meta_dataset_spec import read_spec
from harness_datasets.mscoco import MSCOCO
from harness_datasets.omniglot import Omniglot
from harness_datasets.records import SPEC
from harness_datasets.records_writing import flat_spec, write_records
from packing import drawn

SOURCES = (
    *("ilsvrc_2012", "omniglot", "aircraft", "cu_birds", "dtd"),
    *("quickdraw", "fungi", "vgg_flower", "traffic_sign", "mscoco"),
)


def load(name: str) -> type[MetaDatasetSource]:
    source = plugins.load(plugins.DATASETS, name)
    assert issubclass(source, MetaDatasetSource)
    return source


def built(name: str) -> MetaDatasetSource:
    """The source with the official split, read from records."""
    lake = {"split": "lake"} if name == "omniglot" else {}
    return load(name)(route="records", **lake)  # type: ignore[arg-type]


def spec_text(data_dir: Path, name: str) -> bytes:
    path = data_dir / "meta_dataset_specs" / f"{name}_dataset_spec.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path.read_bytes()


def write_empty(data_dir: Path, name: str, place: Path, **changes: Any) -> Path:
    """Records of a source by its official specification, with nothing in the files of its classes."""
    text = spec_text(data_dir, name)
    folder = place / name
    folder.mkdir(parents=True)
    (folder / SPEC).write_text(json.dumps({**json.loads(text), **changes}))
    for class_id in read_spec(text, name).names:
        (folder / f"{class_id}.tfrecords").touch()
    return folder


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_source_says_is_official(name: str, data_dir: Path) -> None:
    source, spec = load(name), read_spec(spec_text(data_dir, name), name)
    assert source.official_name == spec.name == name
    counts = {split: len(ids) for split, ids in spec.ids.items() if ids}
    assert {split: n for split, n in source.official_classes.items() if n} == counts
    assert source.splits == tuple(counts)
    assert source.official_images == sum(spec.sizes.values())


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_records_first_and_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    source = load(name)()
    assert source.name == name
    assert source.channels == (1 if name in ("omniglot", "quickdraw") else 3)
    assert next(iter(source.routes())) == "records"
    assert source.licence
    assert source.how_to_get.endswith(".")
    with pytest.raises(MissingDataError) as caught:
        built(name).fingerprint(tmp_path)
    assert source.how_to_get in str(caught.value)
    with pytest.raises(ConfigError, match="Did you mean 'records'"):
        load(name)(route="record")


@pytest.mark.parametrize("name", SOURCES)
def test_classes_and_groups_of_the_records_are_official(name: str, data_dir: Path, tmp_path: Path) -> None:
    spec = read_spec(spec_text(data_dir, name), name)
    write_empty(data_dir, name, tmp_path)
    source = built(name)
    assert source.fingerprint(tmp_path).startswith("records-")
    for split in source.splits:
        names = [_ours(name, official) for official in spec.class_names(split)]
        assert list(source.class_sizes(split, tmp_path).items()) == list(
            zip(names, spec.class_sizes(split).values(), strict=True)
        )
        groups, official_groups = source.class_groups(split, tmp_path), spec.class_groups(split)
        assert (groups is None) == (official_groups is None)
        if groups is not None and official_groups is not None:
            assert groups.kind == official_groups.kind
            assert {node: list(below) for node, below in groups.members.items()} == {
                node: [_ours(name, member) for member in below]
                for node, below in official_groups.members.items()
            }
            assert list(groups.members) == list(official_groups.members)


def _ours(source: str, name: str) -> str:
    return name.replace("-character", "/character") if source == "omniglot" else name


def test_the_kinds_of_groups_are_those_of_the_paper(data_dir: Path, tmp_path: Path) -> None:
    for name in ("ilsvrc_2012", "omniglot"):
        write_empty(data_dir, name, tmp_path)
    nodes = ILSVRC2012().class_groups("train", tmp_path)
    assert nodes is not None
    assert nodes.kind == "nodes"
    assert max(map(len, nodes.members.values())) == 712
    alphabets = [Omniglot(split="lake").class_groups(s, tmp_path) for s in ("train", "valid", "test")]
    assert [len(found.members) for found in alphabets if found is not None] == [25, 5, 20]


@pytest.mark.parametrize("source", [ILSVRC2012, Fungi, MSCOCO])
def test_a_source_with_records_alone_reads_its_images(
    source: type[MetaDatasetSource], tmp_path: Path
) -> None:
    name = source.official_name
    classes = {split: [f"{split} {k}" for k in range(2)] for split in source.splits}
    count = 2 * len(classes)
    images = {k: [drawn(5 * k + i, (8 + i, 9)) for i in range(3)] for k in range(count)}
    write_records(tmp_path / "records" / name, flat_spec(name, classes, [3] * count), images.items())
    class_id = 0
    for split in source.splits:
        assert source().class_sizes(split, tmp_path) == dict.fromkeys(classes[split], 3)
        for wanted in classes[split]:
            parts = list(source().read(split, [wanted], tmp_path))
            assert [(part, pixels.shape) for part, pixels in parts] == [
                (wanted, (1, 9, width, 3)) for width in (8, 9, 10)
            ]
            assert [int(pixels[0, 0, 0].sum()) for _, pixels in parts] == [
                int(_first_pixel(content)) for content in images[class_id]
            ]
            class_id += 1
        few = source(max_images_per_class=2)
        assert set(few.class_sizes(split, tmp_path).values()) == {2}
        assert sum(len(pixels) for _, pixels in few.read(split, classes[split][:1], tmp_path)) == 2
    with pytest.raises(DataError, match=f"Source {name!r} has no class 'dodo' in split 'test'"):
        list(source().read("test", ["dodo"], tmp_path))


def _first_pixel(content: bytes) -> int:
    with Image.open(io.BytesIO(content)) as image:
        return int(np.asarray(image)[0, 0].sum())


@pytest.mark.parametrize("name", ["mscoco", "traffic_sign"])
def test_a_source_has_no_split_without_classes(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"Source '{name}' has no split 'train'"):
        built(name).class_sizes("train", tmp_path)


def test_a_variant_has_its_own_name_and_the_same_records(data_dir: Path, tmp_path: Path) -> None:
    write_empty(data_dir, "mscoco", tmp_path)
    variant = MSCOCO(name="coco_2", max_images_per_class=50)
    assert set(variant.class_sizes("test", tmp_path).values()) == {50}
    assert variant.fingerprint(tmp_path) == f"{MSCOCO().fingerprint(tmp_path)}-at-most-50"


def test_real_records_are_found_by_their_plugins(data_dir: Path) -> None:
    found = {"dtd": (5, 0, 5), "quickdraw": (160, 48, 48), "traffic_sign": (0, 0, 43)}
    for name, counts in found.items():
        archive = data_dir / "meta_dataset_records" / f"{name}.zip"
        if not archive.is_file():
            pytest.skip(f"no {archive}")
        source = built(name)
        for split, count in zip(("train", "valid", "test"), counts, strict=True):
            if split in source.splits:
                assert len(source.class_sizes(split, data_dir)) == count
        with zipfile.ZipFile(archive) as packed:
            spec = read_spec(packed.read(f"{name}/{SPEC}"), name)
        assert list(source.class_sizes("test", data_dir)) == spec.class_names("test")
        first = spec.class_names("test")[0]
        images = np.concatenate([pixels for _, pixels in source.read("test", [first], data_dir)])
        assert images.shape[0] == spec.class_sizes("test")[first]
        assert images.shape[3] == source.channels
        if source.native_size is not None:
            assert images.shape[1:3] == (source.native_size, source.native_size)
