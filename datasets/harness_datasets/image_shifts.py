"""Ways to move images away from what they are, each by a dial: `amount` from 0, as they are, to 1.

All take and give uint8 [n, H, W, C] of any height and width, leave what they are given alone, and are pure in
their arguments. Those that need a grid lay `grid` x `grid` cells over the image, whatever its size, so that
images of different sizes are shifted alike; where a side has fewer pixels than that, the cells are fewer too.
"""

import numpy as np
import numpy.typing as npt

from harness.seeds import counter_rng

VERSION = "shift-1"

BLUR_SHARE = 0.1
"""Of the shorter side: the standard deviation of the strongest blur. Of a character little is left."""

NOISE_DEVIATION = 128.0
"""In grey levels of 0..255: the standard deviation of the strongest noise."""

CYCLES = ((1, 2, 0), (2, 0, 1))
"""The orders of three channels that leave none in its place."""

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


def permuted(images: Pixels, amount: float, *, seed: int, grid: int) -> Pixels:
    """The share `amount` of the grid's cells change places in one circle, drawn at random by the seed.

    The cells that move at a small amount move at every larger one, and the circle grows by one cell at a time.
    Where the grid divides height and width every pixel is kept; elsewhere, edges of cells are lost or doubled.
    """
    height, width = images.shape[1:3]
    side = min(grid, height, width)
    circle = _order(side, seed, "permutation")[: round(side**2 * amount)]
    origin = np.arange(side**2)
    origin[circle] = np.roll(circle, -1)
    row, column = _cells(height, side), _cells(width, side)
    from_row, from_column = np.divmod(origin[row[:, None] * side + column], side)
    y = _within(row, from_row.T).T
    x = _within(column, from_column)
    return np.ascontiguousarray(images[:, y, x])


def inverted(images: Pixels, amount: float, *, seed: int, grid: int) -> Pixels:
    """The share `amount` of the grid's cells become negatives: 255 minus what they were. At 1, the whole image.

    Nothing of the image is lost on the way, as it would be in a blend, which is flat grey at 1/2. The cells are
    drawn at random by the seed; those inverted at a small amount are at every larger one.
    """
    height, width = images.shape[1:3]
    side = min(grid, height, width)
    chosen = np.zeros(side**2, dtype=bool)
    chosen[_order(side, seed, "inversion")[: round(side**2 * amount)]] = True
    row, column = _cells(height, side), _cells(width, side)
    negative = chosen[row[:, None] * side + column][..., None]
    return np.where(negative, 255 - images, images)


def blurred(images: Pixels, amount: float) -> Pixels:
    """A Gaussian of standard deviation `amount` x `BLUR_SHARE` x the shorter side; edges are mirrored."""
    from scipy.ndimage import gaussian_filter

    sigma = amount * BLUR_SHARE * min(images.shape[1:3])
    smooth = [
        gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), mode="reflect") for image in images
    ]
    return _levels(np.stack(smooth))


def noisy(images: Pixels, amount: float, *, seed: int, label: str, first: int) -> Pixels:
    """Gaussian noise of standard deviation `amount` x `NOISE_DEVIATION` grey levels on every value.

    label, first: what the images are of, and the number there of the first one: each has noise of its own.
    """
    out = np.empty_like(images)
    for k, image in enumerate(images):
        rng = counter_rng(seed, f"{VERSION}/noise/{label}", first + k)
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        out[k] = _levels(image + np.float32(amount * NOISE_DEVIATION) * noise)
    return out


def recoloured(images: Pixels, amount: float, *, seed: int) -> Pixels:
    """Each channel blended into another: (1 - `amount`) of itself, `amount` of the other. C = 3."""
    order = CYCLES[int(counter_rng(seed, f"{VERSION}/colour", 0).integers(len(CYCLES)))]
    x = images.astype(np.float32)
    return _levels((1 - amount) * x + amount * x[..., list(order)])


def rotated(images: Pixels, amount: float) -> Pixels:
    """Turned about the centre by `amount` x 180 degrees, counterclockwise, between pixels bilinearly.

    What comes in from outside is the nearest pixel of the edge.
    """
    height, width = images.shape[1:3]
    angle, middle = np.pi * amount, np.array([(height - 1) / 2, (width - 1) / 2])
    y, x = np.meshgrid(np.arange(height) - middle[0], np.arange(width) - middle[1], indexing="ij")
    sine, cosine = np.sin(angle), np.cos(angle)
    top, down = _neighbours(middle[0] + cosine * y + sine * x, height)
    left, right = _neighbours(middle[1] + cosine * x - sine * y, width)
    out = np.zeros(images.shape, np.float32)
    for row, of_row in (top, down):
        for column, of_column in (left, right):
            out += images[:, row, column] * (of_row * of_column)[..., None].astype(np.float32)
    return _levels(out)


def _order(side: int, seed: int, label: str) -> Rows:
    """The numbers of side x side cells in a random order: int64 [side ** 2]."""
    return counter_rng(seed, f"{VERSION}/{label}/{side}", 0).permutation(side**2)


def _cells(length: int, side: int) -> Rows:
    """The cell that the centre of each pixel of an axis is in."""
    return ((2 * np.arange(length) + 1) * side // (2 * length)).astype(np.int64)


def _within(cell: Rows, origin: Rows) -> Rows:
    """The pixels of an axis that stand for those in `cell` [length], at the same place in `origin` [..., length]."""
    size = np.bincount(cell)
    start = np.cumsum(size) - size
    place = np.arange(len(cell)) - start[cell]
    return start[origin] + (2 * place + 1) * size[origin] // (2 * size[cell])


def _neighbours(
    place: npt.NDArray[np.float64], length: int
) -> tuple[tuple[Rows, npt.NDArray[np.float64]], tuple[Rows, npt.NDArray[np.float64]]]:
    """The two pixels of an axis next to each place, and the share of each."""
    place = place.clip(0, length - 1)
    before = np.minimum(place.astype(np.int64), max(length - 2, 0))
    share = place - before
    return (before, 1 - share), (np.minimum(before + 1, length - 1), share)


def _levels(x: npt.NDArray[np.float32]) -> Pixels:
    return np.rint(x).clip(0, 255).astype(np.uint8)
