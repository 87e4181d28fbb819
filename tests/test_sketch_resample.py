"""The scaling rules against slow ones, written from their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier.plugins.sketch.pixels import Picture
from chatelier.plugins.sketch.resample import RULES, resize, scale

SIZES = st.integers(1, 23)
FINE = 1e-5


def picture(height: int, width: int, seed: int) -> Picture:
    return np.random.default_rng(seed).random((1, height, width, 3), np.float32)


def cubic(x: float, a: float = -0.75) -> float:
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0


def naive_line(line: list[float], new: int, method: str) -> list[float]:
    size, made = len(line), []
    for i in range(new):
        if method == "area":
            first, after = i * size // new, math.ceil((i + 1) * size / new)
            made.append(sum(line[first:after]) / (after - first))
            continue
        centre = (i + 0.5) * size / new - 0.5
        if method == "nearest-exact":
            made.append(line[min(math.floor((i + 0.5) * size / new), size - 1)])
        elif method == "bilinear":
            centre = max(centre, 0)
            low = int(centre)
            share = centre - low
            made.append(line[low] * (1 - share) + line[min(low + 1, size - 1)] * share)
        else:
            base = math.floor(centre)
            taps = range(base - 1, base + 3)
            made.append(sum(line[min(max(k, 0), size - 1)] * cubic(centre - k) for k in taps))
    return made


def naive(image: Picture, width: int, height: int, method: str) -> Picture:
    tall = np.array(
        [[naive_line(list(image[0, :, x, c]), height, method) for c in range(3)] for x in range(image.shape[2])]
    )
    wide = np.array([[naive_line(list(tall[:, c, y]), width, method) for c in range(3)] for y in range(height)])
    return wide.transpose(0, 2, 1)[None].astype(np.float32)


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic"])
@given(old=st.tuples(SIZES, SIZES), new=st.tuples(SIZES, SIZES), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_each_rule_is_its_definition(method: str, old: tuple[int, int], new: tuple[int, int], seed: int) -> None:
    image = picture(*old, seed)
    made = resize(image, new[0], new[1], method)
    assert made.dtype == np.float32
    assert np.abs(made - naive(image, new[0], new[1], method)).max() < FINE


@given(size=st.integers(1, 300), new=st.integers(1, 300))
@settings(deadline=None)
def test_nearest_exact_takes_a_pixel_under_the_centre(size: int, new: int) -> None:
    taps = RULES["nearest-exact"](size, new)
    centres = (np.arange(new) + 0.5) * size / new
    assert np.abs(taps.indices[:, 0] + 0.5 - centres).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("method", [*RULES, "lanczos"])
@given(value=st.floats(0, 1, width=32), new=st.tuples(SIZES, SIZES))
@settings(max_examples=10, deadline=None)
def test_one_colour_stays_one_colour(method: str, value: float, new: tuple[int, int]) -> None:
    image = np.full((2, 9, 7, 3), value, np.float32)
    made = resize(image, *new, method)
    assert made.shape == (2, new[1], new[0], 3)
    assert np.abs(made - value).max() <= (1 / 255 if method == "lanczos" else 1e-5)


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic", "nearest-exact"])
def test_the_same_size_is_the_same_picture(method: str) -> None:
    image = picture(13, 8, 5)
    assert np.array_equal(resize(image, 8, 13, method), image)


@given(old=st.tuples(st.integers(12, 40), st.integers(12, 40)), new=st.tuples(st.integers(6, 40), st.integers(6, 40)))
@settings(deadline=None)
def test_a_centred_crop_takes_the_middle(old: tuple[int, int], new: tuple[int, int]) -> None:
    """What is mirrored before comes out mirrored."""
    image = picture(*old, 3)
    cut = scale(image, *new, "area", "center")
    mirrored = scale(image[:, ::-1, ::-1], *new, "area", "center")
    assert np.abs(cut - mirrored[:, ::-1, ::-1]).max() < FINE


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(RuntimeError, match="greater than 0"):
        resize(picture(4, 4, 0), 0, 4, "area")
    with pytest.raises(RuntimeError, match="million"):
        resize(picture(4, 4, 0), 60_000, 60_000, "nearest-exact")
