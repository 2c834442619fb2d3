"""Small archives laid out as the authors of Meta-Dataset's sources published theirs: all classes, few images."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.io import savemat

from harness_datasets import official_class_names
from harness_datasets.aircraft import Aircraft
from harness_datasets.cu_birds import CUBirds
from harness_datasets.dtd import DTD
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.traffic_sign import TrafficSign
from harness_datasets.vgg_flower import VGGFlower
from packing import drawn

Files = dict[str, bytes]


def picture(number: int, kind: str = "JPEG") -> bytes:
    return drawn(number, (20, 16), kind=kind)


@cache
def aircraft() -> Mapping[str, bytes]:
    """Three images a variant, one in each published part; numbers do not follow the order of the variants."""
    top, variants = "fgvc-aircraft-2013b/data", official_class_names.AIRCRAFT
    files: Files = {f"{top}/variants.txt": "\n".join(variants).encode()}
    lists: dict[str, list[str]] = {part: [] for part in ("train", "val", "test")}
    boxes = []
    for at, variant in enumerate(variants):
        for k, part in enumerate(lists):
            number = f"{(at * 37 + k * 101) % 1000 * 3 + k:07}"
            files[f"{top}/images/{number}.jpg"] = picture(at + k)
            lists[part].append(f"{number} {variant}")
            boxes.append(f"{number} {1 + k} 2 {12 + k} 14")
    for part, lines in lists.items():
        files[f"{top}/images_variant_{part}.txt"] = "\n".join(lines).encode() + b"\n"
    return files | {f"{top}/images_box.txt": "\n".join(boxes).encode()}


@cache
def birds() -> Mapping[str, bytes]:
    names = [f"{c}/{c[4:]}_{k:04}_{k}.jpg" for c in official_class_names.CU_BIRDS for k in range(2)]
    listed = "".join(f"{number} {name}\n" for number, name in enumerate(names, start=1))
    images = {f"CUB_200_2011/images/{name}": picture(number) for number, name in enumerate(names)}
    return {**images, "CUB_200_2011/images.txt": listed.encode(), "CUB_200_2011/README": b"read me"}


@cache
def textures() -> Mapping[str, bytes]:
    names = [f"{c}/{c}_{k:04}.jpg" for c in official_class_names.DTD for k in range(3)]
    parts = {part: names[k::3] for k, part in enumerate(("train", "val", "test"))}
    lists = {f"dtd/labels/{part}1.txt": "\n".join(lines).encode() for part, lines in parts.items()}
    images = {f"dtd/images/{name}": picture(number) for number, name in enumerate(names)}
    return {**images, **lists, "dtd/images/waffled/.directory": b"left over"}


@cache
def signs() -> Mapping[str, bytes]:
    files: Files = {}
    for sign in range(43):
        top, names = f"GTSRB/Final_Training/Images/{sign:05}", [f"00000_{k:05}.ppm" for k in range(3)]
        table = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
        table += "".join(f"{name};20;16;5;5;15;15;{sign}\n" for name in names)
        files |= {f"{top}/{name}": picture(sign + k, "PPM") for k, name in enumerate(names)}
        files[f"{top}/GT-{sign:05}.csv"] = table.encode()
    return files


def matlab(labels: object) -> bytes:
    out = io.BytesIO()
    savemat(out, {"labels": labels})
    return out.getvalue()


@cache
def flowers() -> Mapping[str, bytes]:
    """The top of an unpacked folder with the labels beside; class k has the images k, k + 102, ..."""
    labels = np.array([[1 + at % 102 for at in range(250)]], np.uint8)
    images = {f"102flowers/jpg/image_{at + 1:05}.jpg": picture(at) for at in range(250)}
    return {**images, "102flowers/imagelabels.mat": matlab(labels)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """source, its files (made once) and their name, an image and its class, and a file that lists images."""

    source: type[MetaDatasetSource]
    files: Callable[[], Mapping[str, bytes]]
    top: str
    image: str
    of_class: str
    listing: str


CASES = {
    "aircraft": Case(
        source=Aircraft,
        files=aircraft,
        top="fgvc-aircraft-2013b",
        image="data/images/0000000.jpg",
        of_class="707-320",
        listing="data/images_variant_train.txt",
    ),
    "cu_birds": Case(
        source=CUBirds,
        files=birds,
        top="CUB_200_2011",
        image="images/002.Laysan_Albatross/Laysan_Albatross_0001_1.jpg",
        of_class="002.Laysan_Albatross",
        listing="images.txt",
    ),
    "dtd": Case(
        source=DTD,
        files=textures,
        top="dtd",
        image="images/zigzagged/zigzagged_0001.jpg",
        of_class="zigzagged",
        listing="labels/val1.txt",
    ),
    "traffic_sign": Case(
        source=TrafficSign,
        files=signs,
        top="GTSRB",
        image="Final_Training/Images/00014/00000_00001.ppm",
        of_class="14.Stop",
        listing="Final_Training/Images/00002/GT-00002.csv",
    ),
    "vgg_flower": Case(
        source=VGGFlower,
        files=flowers,
        top="102flowers",
        image="jpg/image_00003.jpg",
        of_class="003.canterbury bells",
        listing="imagelabels.mat",
    ),
}
