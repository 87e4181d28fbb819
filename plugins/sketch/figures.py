"""Silhouettes that stand in the landscape, drawn in a unit square whose lower edge is the ground."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .palettes import Figure
from .pixels import Picture

Points = Sequence[tuple[float, float]]
FINER = 3
"""Shapes are drawn this much larger and scaled down, which softens their edges."""

FOX_TAIL: Points = (
    (0.40, 0.93),
    (0.27, 0.97),
    (0.12, 0.92),
    (0.03, 0.76),
    (0.05, 0.60),
    (0.12, 0.53),
    (0.16, 0.66),
    (0.22, 0.78),
    (0.35, 0.83),
)
FOX_TIP: Points = ((0.03, 0.70), (0.05, 0.60), (0.12, 0.53), (0.15, 0.63), (0.12, 0.71), (0.06, 0.74))
FOX_BODY: Points = (
    (0.55, 0.34),
    (0.44, 0.46),
    (0.34, 0.64),
    (0.31, 0.82),
    (0.36, 0.97),
    (0.56, 0.985),
    (0.72, 0.985),
    (0.73, 0.94),
    (0.67, 0.92),
    (0.70, 0.70),
    (0.74, 0.52),
    (0.72, 0.38),
)
FOX_CHEST: Points = ((0.72, 0.44), (0.75, 0.54), (0.71, 0.70), (0.66, 0.78), (0.63, 0.64), (0.66, 0.50))
FOX_HEAD: Points = (
    (0.53, 0.30),
    (0.57, 0.19),
    (0.66, 0.155),
    (0.76, 0.19),
    (0.83, 0.27),
    (0.94, 0.335),
    (0.935, 0.365),
    (0.84, 0.395),
    (0.74, 0.43),
    (0.62, 0.43),
    (0.55, 0.39),
)
FOX_MUZZLE: Points = (
    (0.72, 0.34),
    (0.82, 0.335),
    (0.94, 0.345),
    (0.935, 0.365),
    (0.84, 0.395),
    (0.74, 0.43),
    (0.66, 0.42),
)
FOX_EARS: tuple[Points, ...] = (
    ((0.56, 0.24), (0.555, 0.03), (0.67, 0.16)),
    ((0.66, 0.17), (0.70, 0.02), (0.765, 0.20)),
)
CAT_TAIL: Points = (
    (0.36, 0.97),
    (0.18, 0.97),
    (0.08, 0.88),
    (0.07, 0.72),
    (0.13, 0.62),
    (0.16, 0.66),
    (0.13, 0.76),
    (0.17, 0.87),
    (0.36, 0.89),
)
CAT_HEAD: Points = (
    (0.53, 0.27),
    (0.58, 0.18),
    (0.68, 0.15),
    (0.78, 0.18),
    (0.83, 0.27),
    (0.81, 0.37),
    (0.72, 0.43),
    (0.60, 0.42),
    (0.54, 0.36),
)
CAT_EARS: tuple[Points, ...] = (((0.55, 0.24), (0.54, 0.06), (0.65, 0.16)), ((0.71, 0.16), (0.82, 0.06), (0.82, 0.24)))
HULL: Points = ((0.10, 0.86), (0.90, 0.86), (0.78, 1.0), (0.24, 1.0))
SAILS: tuple[Points, ...] = (((0.50, 0.08), (0.50, 0.80), (0.16, 0.80)), ((0.54, 0.22), (0.54, 0.80), (0.82, 0.80)))
WALLS: tuple[Points, ...] = (
    ((0.2, 0.55), (0.8, 0.55), (0.8, 1.0), (0.2, 1.0)),
    ((0.12, 0.57), (0.5, 0.26), (0.88, 0.57)),
    ((0.64, 0.2), (0.74, 0.2), (0.74, 0.5), (0.64, 0.5)),
)
WINDOWS: tuple[Points, ...] = (
    ((0.30, 0.66), (0.42, 0.66), (0.42, 0.80), (0.30, 0.80)),
    ((0.58, 0.66), (0.70, 0.66), (0.70, 0.80), (0.58, 0.80)),
)
TRUNK: Points = ((0.46, 0.5), (0.54, 0.5), (0.58, 1.0), (0.42, 1.0))


def smooth(points: Points, steps: int = 12) -> Points:
    """A closed Catmull-Rom curve through the points."""
    ring = np.array(points)
    before, after, later = np.roll(ring, 1, 0), np.roll(ring, -1, 0), np.roll(ring, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * ring
        + (after - before) * t
        + (2 * before - 5 * ring + 4 * after - later) * t**2
        + (3 * ring - before - 3 * after + later) * t**3
    )
    return [(float(x), float(y)) for x, y in curve.transpose(1, 0, 2).reshape(-1, 2)]


def shape(size: int, *outlines: Points) -> Picture:
    """Coverage from 0 to 1 in a square of `size` pixels."""
    canvas = Image.new("L", (size * FINER, size * FINER))
    pen = ImageDraw.Draw(canvas)
    for outline in outlines:
        pen.polygon([(x * size * FINER, y * size * FINER) for x, y in outline], fill=255)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX), np.float32) / np.float32(255)


def figure(kind: Figure, size: int, seed: int) -> tuple[Picture, Picture]:
    """Two coverages: the figure in its own colour, and what is light upon it."""
    match kind:
        case "fox":
            parts = (smooth(FOX_TAIL), smooth(FOX_BODY), smooth(FOX_HEAD), *FOX_EARS)
            return shape(size, *parts), shape(size, smooth(FOX_TIP), smooth(FOX_CHEST), smooth(FOX_MUZZLE))
        case "cat":
            return shape(size, smooth(CAT_TAIL), smooth(FOX_BODY), smooth(CAT_HEAD), *CAT_EARS), shape(
                size, smooth(FOX_CHEST)
            ) * 0.4
        case "boat":
            return shape(size, smooth(HULL, 4)), shape(size, *SAILS)
        case "house":
            return shape(size, *WALLS), shape(size, *WINDOWS)
        case "tree":
            return shape(size, TRUNK, *_crown(seed)), shape(size)
        case "bird":
            return shape(size, *_flock(seed)), shape(size)
        case _:
            return shape(size), shape(size)


def _crown(seed: int) -> list[Points]:
    chance = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    crown: list[Points] = []
    for _ in range(9):
        x, y, r = chance.uniform(0.28, 0.72), chance.uniform(0.18, 0.5), chance.uniform(0.10, 0.2)
        crown.append([(float(x + r * np.cos(a)), float(y + r * np.sin(a))) for a in angle])
    return crown


def _flock(seed: int) -> list[Points]:
    chance = np.random.default_rng(seed)
    flock: list[Points] = []
    for _ in range(7):
        x, y, r = chance.uniform(0.1, 0.9), chance.uniform(0.05, 0.6), chance.uniform(0.03, 0.09)
        wing = (
            (-1, -0.35),
            (-0.5, -0.55),
            (0, 0.05),
            (0.5, -0.55),
            (1, -0.35),
            (0.45, -0.32),
            (0, 0.3),
            (-0.45, -0.32),
        )
        flock.append([(float(x + r * a), float(y + r * b)) for a, b in wing])
    return flock
