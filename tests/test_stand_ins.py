"""Drawn stand-ins: shaped as their sources, the same every time, readable by others, and never mistaken."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import plugins
from harness.dataset import SPLITS
from harness.errors import WorkspaceError
from harness.testing import check_dataset
from harness_datasets import stand_ins
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.omniglot import Omniglot
from harness_datasets.records import SPEC, STAND_IN, find_records
from harness_datasets.stand_ins import STAND_INS, write_stand_in
from harness_datasets.tensorflow_loading import load_tensorflow
from packing import write_tree
from records_files import read

FEWEST_CLASSES = 6
"""A split's: enough for episodes of five ways."""

QUICK = ("quickdraw", "traffic_sign", "mscoco")


def built(name: str) -> MetaDatasetSource:
    source = plugins.load(plugins.DATASETS, name)
    assert issubclass(source, MetaDatasetSource)
    lake = {"split": "lake"} if name == "omniglot" else {}
    return source(**lake)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all ten."""
    folder = tmp_path_factory.mktemp("stand-ins")
    for name in STAND_INS:
        built(name).write_stand_in(folder)
    return folder


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


@pytest.mark.slow
def test_there_are_ten_and_they_are_small(drawn: Path) -> None:
    assert {path.name for path in drawn.iterdir()} == set(STAND_INS)
    assert len(STAND_INS) == 10
    assert sum(path.stat().st_size for path in drawn.rglob("*.*")) < 30e6


@pytest.mark.slow
@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_is_shaped_as_its_source_and_marked(name: str, drawn: Path) -> None:
    source = built(name)
    assert source.fingerprint(drawn).startswith("stand-in-")
    assert json.loads((drawn / name / SPEC).read_text())[STAND_IN]
    raw = find_records(drawn, name)
    assert raw is not None
    for split in SPLITS:
        sizes, official = raw.class_sizes(split), source.official_classes.get(split, 0)
        assert bool(sizes) == bool(official)
        if official:
            assert FEWEST_CLASSES <= len(sizes) <= max(official / 8, 16)
            assert all(20 <= size <= 30 for size in sizes.values())
            assert len(set(sizes.values())) > 2 or name == "omniglot"


@pytest.mark.slow
@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_keeps_the_contract_of_a_source(name: str, drawn: Path) -> None:
    checks = check_dataset(built(name), drawn)
    assert len(checks) >= 10
    assert [check for check in checks if not check.passed] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", STAND_INS)
def test_tensorflow_reads_the_records_back(name: str, drawn: Path) -> None:
    tf, spec = load_tensorflow(), json.loads((drawn / name / SPEC).read_text())
    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    counts = spec["images_per_class"]
    if "TRAIN" in counts:
        flat = {node: size for split in counts.values() for node, size in split.items()}
        counts = {number: flat[leaf] for number, leaf in spec["class_names"].items()}
    paths = [str(drawn / name / f"{number}.tfrecords") for number in range(len(spec["class_names"]))]
    dataset = tf.data.TFRecordDataset(paths).map(lambda record: tf.io.parse_single_example(record, features))
    labels, largest = [], 0
    for values in dataset.as_numpy_iterator():
        labels.append(int(values["label"]))
        with Image.open(io.BytesIO(values["image"])) as image:
            largest = max(largest, *image.size)
    assert labels == [number for number in range(len(paths)) for _ in range(counts[str(number)])]
    assert largest == 105 if name == "omniglot" else largest <= 64


@pytest.mark.slow
def test_the_alphabets_of_omniglot_are_kept(drawn: Path) -> None:
    for split, least in (("train", 5), ("valid", 2), ("test", 4)):
        groups = built("omniglot").class_groups(split, drawn)
        assert groups is not None
        assert groups.kind == "superclasses"
        assert len(groups.members) >= least
        assert all(len(characters) >= 5 for characters in groups.members.values())
    turned = Omniglot(rotations=True)
    assert len(turned.class_sizes("valid", drawn)) == 4 * len(Omniglot().class_sizes("valid", drawn))


@pytest.mark.slow
def test_imagenets_hierarchy_is_a_class_graph(drawn: Path) -> None:
    spec = json.loads((drawn / "ilsvrc_2012" / SPEC).read_text())
    for split in SPLITS:
        groups, classes = (
            built("ilsvrc_2012").class_groups(split, drawn),
            built("ilsvrc_2012").class_sizes(split, drawn),
        )
        assert groups is not None
        assert groups.kind == "nodes"
        assert all(len(below) >= 5 for below in groups.members.values())
        assert [node for node, below in groups.members.items() if set(below) == set(classes)] == [
            f"{split.capitalize()}-root"
        ]
        nodes = {node["wn_id"]: node for node in spec["split_subgraphs"][split.upper()]}
        for name, node in nodes.items():
            assert all(name in nodes[child]["parents_ids"] for child in node["children_ids"])
            assert all(name in nodes[parent]["children_ids"] for parent in node["parents_ids"])
    members = built("ilsvrc_2012").class_groups("train", drawn)
    assert members is not None
    assert len(members.members) == 1 + 4 + 8


def test_siblings_are_alike() -> None:
    traits = np.stack(list(stand_ins._traits("ilsvrc_2012")))[:71]
    groups = STAND_INS["ilsvrc_2012"].groups
    assert groups is not None
    node = np.repeat(np.arange(8), groups["train"])
    apart = np.linalg.norm(traits[:, None] - traits[None], axis=2)
    same = (node[:, None] == node[None]) & ~np.eye(71, dtype=bool)
    cousins = (node[:, None] // 2 == node[None] // 2) & (node[:, None] != node[None])
    others = node[:, None] // 2 != node[None] // 2
    assert apart[same].mean() < 0.8 * apart[cousins].mean() < 0.9 * apart[others].mean()


@pytest.mark.slow
@pytest.mark.parametrize("name", STAND_INS)
def test_the_classes_of_a_stand_in_can_be_told_apart(name: str, drawn: Path) -> None:
    raw = find_records(drawn, name, channels=built(name).channels)
    assert raw is not None
    classes = [np.stack([_small(image) for image in images]) for images in read(raw, "test").values()]
    means = np.stack([images[::2].mean(0) for images in classes])
    right = [
        np.argmin(np.linalg.norm(means - image, axis=1)) == label
        for label, images in enumerate(classes)
        for image in images[1::2]
    ]
    assert np.mean(right) > 3 / len(classes)  # three times as often as by guessing, from raw pixels


def _small(image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    shown = Image.fromarray(image.squeeze()).resize((12, 12), Image.Resampling.BOX)
    return np.asarray(shown, np.float64).ravel()


@pytest.mark.parametrize("name", QUICK)
def test_the_same_pictures_are_drawn_every_time(name: str, tmp_path: Path) -> None:
    for place in ("one", "two"):
        write_stand_in(name, tmp_path / place)
    assert digest(tmp_path / "one" / name) == digest(tmp_path / "two" / name)


def test_a_stand_in_that_is_there_is_left_alone_and_a_broken_or_old_one_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stand_in("traffic_sign", tmp_path)
    folder = tmp_path / "traffic_sign"
    whole, written = digest(folder), (folder / SPEC).stat().st_mtime_ns
    write_stand_in("traffic_sign", tmp_path)
    assert (folder / SPEC).stat().st_mtime_ns == written
    (folder / "3.tfrecords").unlink()
    write_stand_in("traffic_sign", tmp_path)
    assert digest(folder) == whole
    monkeypatch.setattr(stand_ins, "VERSION", stand_ins.VERSION + 1)
    write_stand_in("traffic_sign", tmp_path)
    assert digest(folder) != whole


@pytest.mark.parametrize(
    "content", [{"images_background.zip": b"real"}, {SPEC: b'{"name": "omniglot"}'}, {SPEC: b"?"}]
)
def test_real_data_is_never_drawn_over(content: dict[str, bytes], tmp_path: Path) -> None:
    write_tree(tmp_path / "omniglot", content)
    with pytest.raises(WorkspaceError, match="is there already and is no stand-in"):
        Omniglot().write_stand_in(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "omniglot").iterdir()} == content
