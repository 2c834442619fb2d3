"""Small data sets as tensorflow-datasets prepares them, of drawn images."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from harness_datasets.tensorflow_loading import load_tensorflow

Example = tuple[npt.NDArray[np.uint8], int]
"""An image and its label."""


def drawn(label: int, number: int, side: int = 8) -> npt.NDArray[np.uint8]:
    """An image that tells its label (red), its number (green, blue): uint8 [side, side + number % 2, 3]."""
    image = np.zeros((side, side + number % 2, 3), np.uint8)
    image[...] = (label * 20 % 256, number % 256, number // 256)
    image[-1, -1] = 255
    return image


def told(image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """The label and number of a `drawn` image."""
    return int(image[0, 0, 0]) // 20, int(image[0, 0, 1]) + 256 * int(image[0, 0, 2])


def mixed(classes: int, each: int, first: int = 0) -> list[Example]:
    """`each` images of every class, the classes taking turns."""
    return [
        (drawn(label, number), label) for number in range(first, first + each) for label in range(classes)
    ]


def prepare_drawn(
    folder: Path,
    splits: Mapping[str, Sequence[Example]],
    *,
    file_format: str,
    names: Sequence[str] | None = None,
    shards: int = 3,
) -> Path:
    """Have TFDS prepare the builder `drawings` in `folder`; returns the folder of its version."""
    load_tensorflow()
    import tensorflow_datasets as tfds

    labels = (
        {"names": names}
        if names is not None
        else {"num_classes": 1 + max(k for s in splits.values() for _, k in s)}
    )

    class Drawings(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc]
        """Drawn images."""

        VERSION = tfds.core.Version("1.2.0")

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(),
                "label": tfds.features.ClassLabel(**labels),
                "size": np.int64,
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {name: self._generate_examples(content) for name, content in splits.items()}

        def _generate_examples(self, content: Sequence[Example]) -> Iterator[tuple[int, dict[str, Any]]]:
            for number, (image, label) in enumerate(content):
                yield number, {"image": image, "label": label, "size": image.size}

    made = Drawings(data_dir=str(folder), file_format=file_format)
    settings = tfds.download.DownloadConfig(num_shards=shards)
    made.download_and_prepare(download_config=settings)
    return Path(str(made.data_path))


def write_as(
    folder: Path,
    builder: str,
    parts: Mapping[str, Iterable[tuple[bytes, int, str]]],
    config: str | None = None,
) -> Path:
    """Records under the features and labels of a builder of TFDS's catalogue, with the files that go with them.

    parts: TFDS split -> encoded image, label and file name of each record. Returns the folder of the version.
    """
    tf = load_tensorflow()
    import tensorflow_datasets as tfds

    made = tfds.builder(builder, data_dir=str(folder), file_format="tfrecord")
    where = Path(str(made.data_path))
    where.mkdir(parents=True)
    infos = []
    for part, records in parts.items():
        written = size = 0
        with tf.io.TFRecordWriter(str(where / f"{builder}-{part}.tfrecord-00000-of-00001")) as writer:
            for image, label, name in records:
                record = example(tf, image=image, label=label, file_name=name.encode())
                writer.write(record)
                written, size = written + 1, size + len(record)
        template = tfds.core.ShardedFileTemplate(
            data_dir=str(where), dataset_name=builder, split=part, filetype_suffix="tfrecord"
        )
        infos.append(
            tfds.core.SplitInfo(
                name=part, shard_lengths=[written], num_bytes=size, filename_template=template
            )
        )
    made.info.set_splits(tfds.core.splits.SplitDict(infos))
    made.info.write_to_directory(str(where))
    return where


def example(tf: Any, *, image: bytes, label: int, **texts: bytes) -> bytes:
    """A serialised tf.Example."""
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        **{key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for key, text in texts.items()},
    }
    content: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return content


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """An encoded image."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def cifar_archive(folder: Path) -> tuple[Path, Callable[[pytest.MonkeyPatch], None]]:
    """`cifar-10-binary.tar.gz` with ten images a file, and what tells TFDS its size and checksum."""
    import hashlib
    import io
    import tarfile

    import tensorflow_datasets as tfds

    folder.mkdir()
    path = folder / "cifar-10-binary.tar.gz"
    labels = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    batch = b"".join(bytes([k]) + bytes([k * 20]) * 3072 for k in range(10))
    names = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    content = {"batches.meta.txt": "\n".join([*labels, ""]).encode(), **dict.fromkeys(names, batch)}
    with tarfile.open(path, "w:gz") as archive:
        for name, body in content.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))

    def register(monkeypatch: pytest.MonkeyPatch) -> None:
        made = tfds.builder_cls("cifar10")
        (url,) = made.url_infos
        told_of = tfds.download.checksums.UrlInfo(
            size=path.stat().st_size,
            checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
            filename=path.name,
        )
        monkeypatch.setitem(made.url_infos, url, told_of)

    return path, register


def prepare_coco(folder: Path, coco: Path, *, file_format: str, part: str = "train", shards: int = 3) -> Path:
    """Have TFDS's own builder `coco/2017` read `train2017` and its annotations in `coco`, and prepare it in `folder`.

    part: the TFDS split it becomes. Returns the folder of its version.
    """
    load_tensorflow()
    import tensorflow_datasets as tfds

    made = tfds.builder("coco/2017", data_dir=str(folder), file_format=file_format)

    def split_generators(dl_manager: Any) -> dict[str, Any]:
        examples = made._generate_examples(
            image_dir=str(coco),
            annotation_dir=str(coco),
            split_name="train2017",
            annotation_type="bboxes",
            panoptic_dir=None,
        )
        return {part: examples}

    made._split_generators = split_generators  # in place of the one that downloads
    made.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=shards))
    return Path(str(made.data_path))
