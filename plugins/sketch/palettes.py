"""Which colours and which landscape the words of a prompt ask for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Colour = tuple[int, int, int]
Drift = Literal["none", "snow", "stars", "petals", "fireflies", "rain"]
Land = Literal["hills", "sea", "forest", "dunes", "towers"]
Figure = Literal["", "fox", "cat", "bird", "boat", "house", "tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """sky: from the top to the horizon. far, near: the colours between which the layers of land lie."""

    sky: tuple[Colour, Colour, Colour]
    far: Colour
    near: Colour
    disc: Colour
    land: Land = "hills"
    drift: Drift = "none"


PLACES: dict[str, Place] = {
    "snow": Place(
        sky=((92, 124, 168), (170, 193, 216), (238, 226, 219)),
        far=(176, 193, 214),
        near=(240, 245, 250),
        disc=(255, 244, 222),
        drift="snow",
    ),
    "sea": Place(
        sky=((38, 84, 124), (112, 169, 190), (244, 220, 186)),
        far=(86, 142, 160),
        near=(14, 54, 82),
        disc=(255, 236, 196),
        land="sea",
    ),
    "forest": Place(
        sky=((66, 104, 98), (150, 178, 146), (231, 228, 188)),
        far=(134, 162, 136),
        near=(16, 38, 34),
        disc=(255, 243, 204),
        land="forest",
    ),
    "night": Place(
        sky=((8, 12, 36), (26, 34, 78), (78, 76, 124)),
        far=(52, 56, 102),
        near=(7, 9, 24),
        disc=(238, 240, 255),
        drift="stars",
    ),
    "sunset": Place(
        sky=((58, 42, 98), (206, 92, 98), (255, 190, 116)), far=(170, 92, 112), near=(44, 22, 48), disc=(255, 232, 176)
    ),
    "desert": Place(
        sky=((72, 128, 170), (178, 196, 190), (250, 222, 172)),
        far=(226, 176, 128),
        near=(140, 74, 46),
        disc=(255, 246, 214),
        land="dunes",
    ),
    "city": Place(
        sky=((34, 40, 74), (112, 86, 132), (240, 160, 132)),
        far=(112, 92, 132),
        near=(22, 22, 44),
        disc=(255, 226, 190),
        land="towers",
    ),
    "meadow": Place(
        sky=((86, 152, 198), (168, 206, 220), (250, 240, 214)),
        far=(150, 186, 150),
        near=(58, 108, 62),
        disc=(255, 250, 226),
        drift="petals",
    ),
    "autumn": Place(
        sky=((96, 110, 140), (212, 176, 150), (252, 220, 166)),
        far=(196, 132, 92),
        near=(92, 36, 26),
        disc=(255, 238, 196),
        drift="petals",
    ),
    "mountain": Place(
        sky=((50, 78, 118), (136, 164, 192), (236, 214, 204)),
        far=(142, 160, 186),
        near=(30, 42, 64),
        disc=(255, 240, 220),
    ),
    "rain": Place(
        sky=((58, 70, 86), (110, 124, 138), (172, 180, 182)),
        far=(120, 134, 144),
        near=(32, 42, 52),
        disc=(214, 222, 226),
        drift="rain",
    ),
    "dream": Place(
        sky=((74, 56, 122), (168, 122, 178), (252, 204, 200)),
        far=(156, 122, 176),
        near=(46, 32, 78),
        disc=(255, 236, 240),
        drift="fireflies",
    ),
}
PLACE_WORDS: dict[str, str] = {
    "snow": "snow snowy winter ice icy frost frozen arctic blizzard christmas",
    "sea": "sea ocean lake water beach coast boat ship sail river wave waves island harbour harbor fish",
    "forest": "forest wood woods jungle tree trees pine pines moss fern grove",
    "night": "night midnight moon moonlight star stars space galaxy dark cosmos universe aurora",
    "sunset": "sunset sunrise dusk dawn evening morning fire lava volcano",
    "desert": "desert sand dune dunes camel sahara mars canyon",
    "city": "city town street skyscraper tower neon cyberpunk castle building buildings robot",
    "meadow": "meadow field garden flower flowers spring grass summer blossom cherry rabbit",
    "autumn": "autumn fall leaves harvest october pumpkin",
    "mountain": "mountain mountains hill hills alps peak valley cliff",
    "rain": "rain rainy storm fog mist cloud clouds grey gray",
    "dream": "dream dreamy magic fairy fantasy surreal wizard unicorn dragon",
}
ACCENTS: dict[Colour, str] = {
    (198, 84, 34): "fox russet orange copper tiger squirrel ginger",
    (188, 44, 40): "red rose crimson scarlet ruby fire",
    (222, 168, 58): "gold golden yellow lion sun honey",
    (64, 132, 82): "green emerald frog dragon",
    (52, 104, 184): "blue azure sapphire",
    (196, 108, 152): "pink cherry blossom",
    (122, 82, 172): "violet purple lavender",
    (120, 82, 56): "brown bear dog horse deer",
    (112, 118, 128): "grey gray wolf silver robot",
    (40, 38, 44): "black raven crow panther",
    (240, 236, 228): "white swan rabbit polar ghost",
}
FIGURES: dict[Figure, str] = {
    "fox": "fox foxes wolf wolves dog coyote vixen",
    "cat": "cat cats kitten tiger lion panther",
    "bird": "bird birds crow raven eagle swan gull owl dragon",
    "boat": "boat ship sail sailing yacht",
    "house": "house cabin cottage home hut castle",
    "tree": "tree oak bonsai",
}


def words_of(prompt: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", prompt.lower())


def place_for(words: Sequence[str], chance: float) -> Place:
    """The first place that a word names; else one by chance (0 to 1)."""
    for name, known in PLACE_WORDS.items():
        if set(known.split()) & set(words):
            return PLACES[name]
    return list(PLACES.values())[int(chance * len(PLACES)) % len(PLACES)]


def accent_for(words: Sequence[str]) -> Colour | None:
    """An animal's own colour goes before the colour word that describes it."""
    return next((colour for colour, known in ACCENTS.items() if set(known.split()) & set(words)), None)


def figure_for(words: Sequence[str]) -> Figure:
    return next((figure for figure, known in FIGURES.items() if set(known.split()) & set(words)), "")
