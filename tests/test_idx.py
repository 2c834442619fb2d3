"""idx files: MNIST's and its likenesses', whole and as stored, and every way to be broken named."""

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from harness.dataset import native_size
from harness.errors import ConfigError, DataError, MissingDataError
from harness_datasets.idx import KMNIST, MNIST, FashionMNIST, IdxSource

COUNTS = {"t10k": 40, "train": 60}


def pixels(part: str) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(COUNTS[part]).integers(0, 256, (COUNTS[part], 28, 28), np.uint8)


def labels(part: str) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).permutation(np.arange(COUNTS[part]) % 10).astype(np.uint8)


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def write(folder: Path, *parts: str, packed: bool = True, sign: str = "-") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        for kind, content in (("images", idx(pixels(part))), ("labels", idx(labels(part)))):
            name = f"{part}-{kind}{sign}idx{3 if kind == 'images' else 1}-ubyte"
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    return folder.parent


def read(dataset: IdxSource, place: Path) -> dict[str, npt.NDArray[np.uint8]]:
    return {
        name: images
        for split in dataset.splits
        for name, images in dataset.read(split, list(dataset.class_sizes(split, place)), place)
    }


@pytest.mark.parametrize(
    ("kind", "folder", "counts"),
    [
        (MNIST, "mnist", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
        (FashionMNIST, "fashion_mnist", [1000] * 10),
    ],
)
def test_the_real_test_sets_are_whole(
    kind: type[IdxSource], folder: str, counts: list[int], data_dir: Path
) -> None:
    if not (data_dir / folder).is_dir():
        pytest.skip(f"no {data_dir / folder}")
    dataset = kind(name="mine")
    assert dataset.splits == ("test",)
    assert dict(dataset.class_sizes("test", data_dir)) == dict(zip(kind.classes, counts, strict=True))
    assert "t10k" in dataset.fingerprint(data_dir)
    content = gzip.decompress((data_dir / folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    marks = gzip.decompress((data_dir / folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    found = read(dataset, data_dir)
    for number, name in enumerate(kind.classes):
        first = marks.index(number)
        image = np.frombuffer(content[16 + 784 * first : 16 + 784 * (first + 1)], np.uint8)
        np.testing.assert_array_equal(found[name][0].ravel(), image)
        assert found[name].shape == (counts[number], 28, 28, 1)
    assert native_size(dataset) == 28


@pytest.mark.parametrize(
    ("parts", "there"),
    [("auto", ["train", "t10k"]), ("both", ["train", "t10k"]), ("train", ["train"]), ("t10k", ["t10k"])],
)
def test_the_parts_asked_for_are_read_one_after_the_other(
    parts: str, there: list[str], tmp_path: Path
) -> None:
    write(tmp_path / "kmnist", "train", "t10k")
    dataset = KMNIST(parts=parts)
    found = read(dataset, tmp_path)
    whole = np.concatenate([pixels(part) for part in there])
    marks = np.concatenate([labels(part) for part in there])
    assert list(found) == ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
    for number, name in enumerate(found):
        np.testing.assert_array_equal(found[name][..., 0], whole[marks == number])
    assert f"-{'+'.join(there)}-" in dataset.fingerprint(tmp_path)


def test_which_files_are_there_decides_under_auto_and_is_in_the_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for number, parts in enumerate((("train",), ("t10k",), ("train", "t10k"))):
        place = write(tmp_path / str(number) / "mnist", *parts)
        prints.add(MNIST().fingerprint(place))
    assert len(prints) == 3
    with pytest.raises(DataError, match=r"MNIST\.parts is 'both', but .* only the files of 'train'"):
        MNIST(parts="both").fingerprint(tmp_path / "0")


def test_every_way_to_keep_the_files_has_one_fingerprint(tmp_path: Path) -> None:
    places = [
        write(tmp_path / "1" / "mnist", "t10k"),
        write(tmp_path / "2" / "MNIST" / "raw", "t10k").parent,
        write(tmp_path / "3" / "mnist", "t10k", packed=False),
        write(tmp_path / "4" / "mnist", "t10k", packed=False, sign="."),
        write(tmp_path / "5" / "mnist", "t10k") / "mnist",
        write(tmp_path / "6" / "MNIST" / "raw", "t10k") / "raw",
    ]
    assert len({MNIST().fingerprint(place) for place in places}) == 1


def test_files_in_a_folder_of_another_name_are_nobodys(tmp_path: Path) -> None:
    write(tmp_path, "t10k")
    write(tmp_path / "fashion_mnist", "t10k")
    with pytest.raises(MissingDataError, match=r"into a folder `mnist`"):
        MNIST().fingerprint(tmp_path)
    with pytest.raises(MissingDataError, match="no folder of raw data was named"):
        MNIST().fingerprint(None)
    assert FashionMNIST().fingerprint(tmp_path)


def test_classes_can_be_dealt_to_splits(tmp_path: Path) -> None:
    write(tmp_path / "mnist", "t10k")
    dealt = MNIST(train_classes=["0", "1", "2", "3", "4"], test_classes=["5", "6", "7", "8", "9"])
    assert dealt.splits == ("train", "test")
    assert [list(dealt.class_sizes(split, tmp_path)) for split in dealt.splits] == [
        list("01234"),
        list("56789"),
    ]
    assert dealt.fingerprint(tmp_path) != MNIST().fingerprint(tmp_path)
    whole = read(MNIST(), tmp_path)
    for name, images in read(dealt, tmp_path).items():
        np.testing.assert_array_equal(images, whole[name])


def broken_gzip(content: bytes) -> bytes:
    return gzip.compress(content)[:-40]


IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
OF_IMAGES, OF_LABELS = idx(pixels("t10k")), idx(labels("t10k"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (IMAGES, OF_IMAGES[:-1], r"has 31359 bytes of images, not the 40x28x28 .* truncated"),
        (IMAGES, OF_IMAGES + b"x", r"has 31361 bytes of images, not the 40x28x28"),
        (IMAGES, OF_IMAGES[:9], r"has 0 bytes of images"),
        (IMAGES, broken_gzip(OF_IMAGES), r"is truncated or damaged"),
        (IMAGES, b"", r"begins with 0 bytes, not with 0x00000803"),
        (IMAGES, b"<!DOCTYPE html>" * 9, r"begins with 0x3c21444f, not with 0x00000803"),
        (IMAGES, OF_LABELS, r"begins with 0x00000801, not with 0x00000803: it is no idx file of images"),
        (LABELS, OF_IMAGES, r"begins with 0x00000803, not with 0x00000801: it is no idx file of labels"),
        (LABELS, OF_LABELS[:-3], r"has 37 bytes of labels, not the 40"),
        (IMAGES, idx(pixels("t10k")[:39]), r"has 39 images, but t10k-labels-idx1-ubyte has 40 labels"),
        (IMAGES, idx(pixels("t10k").reshape(40, 14, 56)), r"has images of \(14, 56\) pixels, not 28x28"),
        (LABELS, idx(labels("t10k") + 1), r"has the label 10, but labels go from 0 to 9"),
        (LABELS, idx(labels("t10k") // 2), r"has no image of '5', '6', '7', '8', '9' of source 'mnist'"),
    ],
)
def test_broken_files_are_named(file: str, content: bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path / "mnist", "t10k", packed=False)
    (tmp_path / "mnist" / file).write_bytes(content)
    for ask in (MNIST().fingerprint, lambda place: MNIST().class_sizes("test", place)):
        with pytest.raises(DataError, match=rf"{file} {message}"):
            ask(tmp_path)


@pytest.mark.parametrize(("gone", "lacking"), [(IMAGES, "images"), (LABELS, "labels")])
def test_half_a_pair_is_named(gone: str, lacking: str, tmp_path: Path) -> None:
    write(tmp_path / "mnist", "t10k", packed=False)
    (tmp_path / "mnist" / gone).unlink()
    with pytest.raises(DataError, match=rf"the {lacking} of 't10k' are not beside it"):
        MNIST().fingerprint(tmp_path)


def test_wrong_parameters_are_config_errors() -> None:
    with pytest.raises(
        ConfigError, match=r"MNIST\.parts must be one of 'auto', 'both', 't10k', 'train'; got 'test'"
    ):
        MNIST(parts="test")
    with pytest.raises(ConfigError, match=r"KMNIST has both fractions and train_classes"):
        KMNIST(fractions=(0.5, 0.2, 0.3), train_classes=["o"])
