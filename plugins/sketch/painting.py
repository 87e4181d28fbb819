"""The picture that stands in for a diffusion model's: a landscape painted from the words of the prompt and the seed.

Sky, disc, layered land, a figure, what drifts in the air, a vignette and grain; the same words, seed and size give the same bytes.
"""

import hashlib
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from .figures import figure
from .palettes import Colour, Drift, Place, accent_for, figure_for, place_for, words_of
from .pixels import Picture
from .resample import resize

Line = npt.NDArray[np.float32]
HORIZON = 0.56
"""Of the height, from above."""

GRAIN = 0.012
"""Standard deviation of the noise over the whole picture, of 0 to 1: barely seen."""

CAPTION = "sketch"
DRIFTING: dict[Drift, int] = {"snow": 420, "stars": 320, "petals": 90, "fireflies": 60, "rain": 500}
FLAKES: dict[Drift, tuple[float, float, float]] = {
    "snow": (0.6, 2.8, 1),
    "stars": (0.4, 1.0, 1),
    "petals": (1.0, 2.5, 0.6),
    "fireflies": (0.8, 1.6, 1),
}
"""Smallest radius, what a near one has more, and height over width; in pixels of a picture of 512."""


def paint(prompt: str, seed: int, width: int, height: int, check: Callable[[], None]) -> Picture:
    """[height, width, 3]. `check` is called between the layers and may raise."""
    canvas = Canvas(prompt, seed, width, height)
    for layer in canvas.layers():
        check()
        layer()
    return canvas.picture


def caption(picture: Picture) -> Picture:
    """A copy with the small word in the lower right corner that tells what the picture is."""
    height, width = picture.shape[:2]
    size = max(9, min(width, height) // 42)
    drawn = Image.new("L", (width, height))
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(size)
    box = pen.textbbox((0, 0), CAPTION, font=font)
    pen.text((width - box[2] - size, height - box[3] - size * 0.8), CAPTION, font=font, fill=150)
    ink = (np.asarray(drawn, np.float32) / np.float32(255))[..., None]
    corner = picture[-2 * size :, -5 * size :]
    light = np.float32(0.05 if float(corner.mean()) > 0.6 else 0.97)
    return np.clip(picture + (light - picture) * ink, 0, 1).astype(np.float32)


class Canvas:
    """One picture while it is being painted."""

    def __init__(self, prompt: str, seed: int, width: int, height: int) -> None:
        words = words_of(prompt)
        key = hashlib.sha256(f"{' '.join(words)}|{seed}".encode()).digest()
        self.seed = int.from_bytes(key[:8], "big")
        self.chance = np.random.default_rng(self.seed)
        self.width, self.height = width, height
        self.place: Place = place_for(words, key[8] / 256)
        self.accent = accent_for(words)
        self.kind = figure_for(words)
        self.picture: Picture = np.zeros((height, width, 3), np.float32)
        self.sun = (float(self.chance.uniform(0.2, 0.8)), float(self.chance.uniform(0.2, 0.42)))
        self.ground: Line = np.full(width, height * 0.9, np.float32)

    def layers(self) -> tuple[Callable[[], None], ...]:
        """From far to near; stars stand behind the land."""
        if self.place.drift == "stars":
            return (self.sky, self.drift, self.disc, self.land, self.figure, self.finish)
        return (self.sky, self.disc, self.land, self.figure, self.drift, self.finish)

    @cached_property
    def rows(self) -> Picture:
        return np.linspace(0, 1, self.height, dtype=np.float32)[:, None]

    @cached_property
    def columns(self) -> Picture:
        return np.linspace(0, 1, self.width, dtype=np.float32)[None]

    def sky(self) -> None:
        """Three colours, and clouds that catch the light."""
        stops = np.array([_rgb(colour) for colour in self.place.sky])
        at = np.clip(self.rows[:, 0] / HORIZON, 0, 1)
        column = np.stack([np.interp(at, [0, 0.55, 1], stops[:, k]) for k in range(3)], -1).astype(np.float32)
        self.picture[:] = column[:, None]
        clouds = self._clouds(5, 3.2)
        cover = np.clip((clouds - 0.52) * 2.6, 0, 1) * np.clip(1 - self.rows / (HORIZON * 1.15), 0, 1) ** 0.6
        self._mix(_rgb(self.place.disc), cover * np.float32(0.42))
        shade = np.clip((0.46 - clouds) * 2.2, 0, 1) * np.clip(1 - self.rows / HORIZON, 0, 1)
        self._mix(_rgb(self.place.sky[0]), shade * np.float32(0.35))

    def disc(self) -> None:
        """Sun or moon with its glow; a colour that the prompt names glows with it."""
        x, y = self.sun
        ratio = self.width / self.height
        distance = np.hypot((self.columns - x) * ratio, self.rows - y)
        glow = _rgb(self.accent or self.place.disc) * 0.5 + _rgb(self.place.disc) * 0.5
        self._mix(glow, np.float32(0.55) * np.exp(-distance * 4.2))
        self._mix(_rgb(self.place.disc), np.float32(0.65) * np.exp(-((distance / 0.13) ** 2)))
        radius = float(self.chance.uniform(0.045, 0.075))
        self._mix(_rgb(self.place.disc), np.clip((radius - distance) * self.height / 1.6 + 0.5, 0, 1))

    def land(self) -> None:
        """Layers from far to near, each darker and rougher, with mist between them."""
        if self.place.land == "sea":
            self._sea()
            return
        layers = 6
        far, near = _rgb(self.place.far), _rgb(self.place.near)
        for layer in range(layers):
            depth = layer / (layers - 1)
            top = HORIZON - 0.06 + 0.40 * depth**1.25
            line = top - self._relief(layer) * (0.17 - 0.07 * depth)
            if self.place.land == "forest" and layer > 1:
                line = line - self._pines(layer) * (0.03 + 0.075 * depth)
            if self.place.land == "towers" and 0 < layer < layers - 1:
                line = line - self._towers(layer) * (0.26 - 0.16 * depth)
            colour = far + (near - far) * np.float32(depth**0.9)
            if self.accent and layer in {2, 3}:
                colour = colour * 0.88 + _rgb(self.accent) * 0.12
            self._layer(line.astype(np.float32), colour, depth)
            self.ground = (line * self.height).astype(np.float32)

    def _layer(self, line: Line, colour: Line, depth: float) -> None:
        below = self.rows - line[None]
        cover = np.clip(below * self.height / 1.4 + 0.5, 0, 1)
        light = np.clip(1 - below / np.float32(0.22), 0, 1) * np.float32(0.55 - 0.3 * depth)
        mist = _rgb(self.place.sky[2])
        texture = (self._clouds(4, 9 + 6 * depth, key=f"{depth:.2f}") - 0.5) * np.float32(0.10 + 0.06 * depth)
        tone = colour + (mist - colour) * (light * np.float32(0.55))[..., None] + texture[..., None]
        self.picture += (tone - self.picture) * cover[..., None]

    def _sea(self) -> None:
        """The sky again, upside down and darker, broken by waves; a far coast above it."""
        edge = int(self.height * HORIZON)
        coast = HORIZON - np.clip(self._relief(1) - 0.35, 0, 1) * 0.12
        self._layer(coast.astype(np.float32), _rgb(self.place.far) * np.float32(0.85), 0.2)
        rows = np.arange(self.height - edge)
        mirrored = self.picture[np.clip(int(self.height * (HORIZON - 0.02)) - rows, 0, self.height - 1)].copy()
        depth = (rows / max(len(rows), 1)).astype(np.float32)[:, None]
        waves = self._waves(len(rows))
        deep = _rgb(self.place.near)
        blend = np.clip(0.30 + 0.62 * depth, 0, 1) + (waves - 0.5) * (0.34 + 0.2 * depth)
        sea = mirrored + (deep - mirrored) * np.clip(blend, 0, 1)[..., None]
        path = (
            np.exp(-(((self.columns - self.sun[0]) / (0.035 + 0.20 * depth)) ** 2)) * np.clip(waves - 0.44, 0, 1) * 2.6
        )
        sea += (_rgb(self.place.disc) - sea) * np.clip(path, 0, 0.85)[..., None]
        self.picture[edge:] = sea
        self.ground = np.full(self.width, self.height * 0.86, np.float32)

    def figure(self) -> None:
        """What the prompt names, if it is one of the few silhouettes."""
        if not self.kind:
            return
        size = int(min(self.width, self.height) * (0.30 if self.kind in {"fox", "cat"} else 0.34))
        own, light = figure(self.kind, size, self.seed)
        if self.chance.random() < 0.5:
            own, light = own[:, ::-1], light[:, ::-1]
        left = int((0.62 if self.sun[0] < 0.5 else 0.12) * (self.width - size))
        foot = int(np.median(self.ground[left : left + size])) + size // 14
        top = int(self.height * 0.1) if self.kind == "bird" else min(foot, int(self.height * 0.97)) - size
        part = self.picture[top : top + size, left : left + size]
        colour = _rgb(self.accent) if self.accent else _rgb(self.place.near) * np.float32(0.35)
        lit = np.linspace(1.15, 0.72, size, dtype=np.float32)[:, None, None]
        fur = self._clouds(3, 18)[:size, :size, None] * np.float32(0.22) + np.float32(0.89)
        if self.kind not in {"bird", "boat"}:
            self._shadow(left, top + size, size)
        part += (np.clip(colour * lit * fur, 0, 1) - part) * own[..., None]
        part += (np.clip(_rgb(self.place.disc) * lit, 0, 1) - part) * (light * np.float32(0.9))[..., None]

    def _shadow(self, left: int, foot: int, size: int) -> None:
        x, y = (left + size / 2) / self.width, (foot - size * 0.02) / self.height
        spread = np.hypot(
            (self.columns - x) * self.width / (size * 0.42), (self.rows - y) * self.height / (size * 0.06)
        )
        self._mix(_rgb(self.place.sky[0]) * np.float32(0.35), np.float32(0.45) * np.exp(-(spread**2)))

    def drift(self) -> None:
        """Snow, stars, petals, fireflies or rain."""
        kind = self.place.drift
        if kind == "none":
            return
        drawn = Image.new("L", (self.width, self.height))
        pen = ImageDraw.Draw(drawn)
        unit = min(self.width, self.height) / 512
        for _ in range(DRIFTING[kind]):
            x, y, near = (float(value) for value in self.chance.random(3) * (self.width, self.height, 1))
            bright = int(self.chance.integers(110, 256))
            if kind == "rain":
                slant = unit * (1 + near)
                pen.line((x, y, x - 5 * slant, y + 26 * slant), fill=bright // 4, width=max(1, round(unit)))
            else:
                small, large, flat = FLAKES[kind]
                r = unit * (small + large * near**3)
                pen.ellipse((x - r, y - r * flat, x + r, y + r * flat), fill=bright)
        cover = np.asarray(drawn, np.float32) / np.float32(255)
        colour = _rgb(self.accent) if self.accent and kind == "petals" else _rgb(self.place.disc)
        if kind in {"fireflies", "stars"}:
            self.picture += (self._softened(cover, 8 * unit) * np.float32(1.4))[..., None] * colour
        self._mix(colour, cover * np.float32(0.9))

    def finish(self) -> None:
        """Darker corners, a little grain."""
        corner = ((self.columns - 0.5) ** 2 + (self.rows - 0.5) ** 2) * np.float32(0.62)
        self.picture *= (1 - corner**1.3)[..., None]
        self.picture += self.chance.normal(0, GRAIN, (self.height, self.width, 1)).astype(np.float32)
        np.clip(self.picture, 0, 1, out=self.picture)

    def _mix(self, colour: Line, share: Picture) -> None:
        self.picture += (colour - self.picture) * share[..., None]

    def _clouds(self, octaves: int, cells: float, key: str = "") -> Picture:
        """Soft noise of 0 to 1, mostly near a half."""
        total = np.zeros((self.height, self.width), np.float32)
        weight = 0.0
        for octave in range(octaves):
            across = max(2, round(cells * 2**octave))
            down = max(2, round(across * 1.7 * self.height / self.width))
            if across >= self.width or down >= self.height:
                break
            grid = Image.fromarray(self.chance.random((down, across), np.float32))
            total += np.asarray(grid.resize((self.width, self.height), Image.Resampling.BICUBIC)) * np.float32(
                0.55**octave
            )
            weight += 0.55**octave
        return total / np.float32(weight) if weight else total + np.float32(0.5)

    def _relief(self, layer: int) -> Line:
        """A ridge: heights of 0 to 1 along the picture."""
        rough = {"dunes": 0.32, "sea": 0.5}.get(self.place.land, 0.5)
        line = np.zeros(self.width, np.float32)
        for octave in range(3 if self.place.land == "dunes" else 7):
            knots = self.chance.random(3 + int(2.2 * (1 + layer * 0.35)) * 2**octave)
            line += np.float32(rough**octave) * _wave(knots, self.width)
        line -= line.min()
        return line / max(float(line.max()), 1e-6)

    def _pines(self, layer: int) -> Line:
        """Tree tops: steep teeth of uneven height."""
        count = int(self.width / min(self.width, self.height) * (90 - 11 * layer))
        at = np.linspace(0, count, self.width, dtype=np.float32) + _wave(self.chance.random(12), self.width)
        tooth = 1 - np.abs(at % 1 - 0.5) * 2
        tall = self.chance.random(count + 3).astype(np.float32)[at.astype(int)]
        frayed = 0.85 + 0.15 * np.sin(tooth * 26)
        return np.asarray(tooth**1.15 * (0.35 + 0.65 * tall) * frayed, np.float32)

    def _towers(self, layer: int) -> Line:
        count = 26 - 3 * layer
        heights = self.chance.random(count + 1).astype(np.float32) ** 1.6
        steps = (np.linspace(0, count, self.width) + 0.3 * np.sin(np.linspace(0, 40, self.width))).astype(int)
        return np.asarray(heights[np.clip(steps, 0, count)], np.float32)

    def _waves(self, rows: int) -> Picture:
        lines = []
        for octave, (down, across) in enumerate(((18, 4), (44, 10), (90, 30))):
            grid = Image.fromarray(self.chance.random((max(2, down), across), np.float32))
            # distant waves are narrow: the grid is squeezed towards the horizon
            tall = np.asarray(grid.resize((self.width, max(2, rows * 2)), Image.Resampling.BICUBIC))
            index = (np.linspace(0, 1, rows) ** 0.6 * (len(tall) - 1)).astype(int)
            lines.append(tall[index] * np.float32(0.6**octave))
        total: Picture = sum(lines[1:], lines[0]) / np.float32(1.96)
        return total

    def _softened(self, cover: Picture, radius: float) -> Picture:
        small = max(2, int(self.width / max(radius, 1))), max(2, int(self.height / max(radius, 1)))
        low = resize(cover[None, ..., None], small[0], small[1], "area")
        return resize(low, self.width, self.height, "bilinear")[0, ..., 0]


def _rgb(colour: Colour) -> Line:
    return np.array(colour, np.float32) / np.float32(255)


def _wave(knots: npt.NDArray[np.float64], width: int) -> Line:
    """A smooth line through the knots."""
    at = np.linspace(0, len(knots) - 1, width)
    low = np.minimum(at.astype(int), len(knots) - 2)
    share = at - low
    share = share * share * (3 - 2 * share)
    return np.asarray(knots[low] + (knots[low + 1] - knots[low]) * share, np.float32)
