"""The normal random numbers that `torch.randn` gives on a CPU, drawn in numpy."""

import math

import numpy as np
import numpy.typing as npt

from .pixels import Picture

Uniforms = npt.NDArray[np.float32]
BLOCK = 16
"""Box-Muller turns 8 + 8 uniforms at a time into normals; fewer numbers than this take another road."""


def normals(seed: int, shape: tuple[int, ...]) -> Picture:
    """`torch.randn(shape)` after `torch.manual_seed(seed)`; only the low 32 bits of the seed count."""
    count = math.prod(shape)
    twister = np.random.RandomState(seed & 0xFFFFFFFF)
    values = _few(twister, count) if count < BLOCK else _many(twister, count)
    return values.reshape(shape)


def _many(twister: np.random.RandomState, count: int) -> Picture:
    values = _uniforms(twister, count)
    whole = count // BLOCK * BLOCK
    values[:whole] = _box_muller(values[:whole])
    if whole != count:
        # torch draws the last sixteen anew, over what was there
        values[-BLOCK:] = _box_muller(_uniforms(twister, BLOCK))
    return values


def _few(twister: np.random.RandomState, count: int) -> Picture:
    raw = np.frombuffer(twister.bytes(16 * math.ceil(count / 2)), "<u4").astype(np.uint64)
    doubles = ((raw[0::2] << np.uint64(32) | raw[1::2]) & np.uint64(2**53 - 1)) * 2.0**-53
    radius = np.sqrt(-2 * np.log1p(-doubles[1::2]))
    angle = 2 * np.pi * doubles[0::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count].astype(np.float32)


def _uniforms(twister: np.random.RandomState, count: int) -> Uniforms:
    raw = np.frombuffer(twister.bytes(4 * count), "<u4")
    return (raw & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def _box_muller(uniforms: Uniforms) -> Picture:
    pairs = uniforms.reshape(-1, 2, BLOCK // 2)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - pairs[:, 0]))
    angle = np.float32(2 * np.pi) * pairs[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
