"""The picture in place of a model's: from the words and the seed, and from nothing else."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatelier.plugins.sketch.folders import Folders
from chatelier.plugins.sketch.models import Models
from chatelier.plugins.sketch.nodes_latent import Latent
from chatelier.plugins.sketch.nodes_model import Conditioning, Loaded
from chatelier.plugins.sketch.nodes_sampler import ksampler
from chatelier.plugins.sketch.painting import caption, paint
from chatelier.plugins.sketch.palettes import FIGURES, PLACE_WORDS, figure_for, words_of
from chatelier.plugins.sketch.pixels import Picture
from chatelier.plugins.sketch.running import Interrupted, Run

PROMPTS = [
    f"a {figure.split()[0]} in {place.split()[0]}"
    for place in PLACE_WORDS.values()
    for figure in list(FIGURES.values())[:2]
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(folders=Folders(tmp_path), models=Models(), graph={})


def calm() -> None:
    """Nobody asks to stop."""


def quick(prompt: str, seed: int = 1, side: int = 96) -> Picture:
    return paint(prompt, seed, side, side, calm)


@pytest.mark.parametrize("prompt", [*PROMPTS, *FIGURES.values(), "", "🦊", "x" * 100_000])
def test_every_prompt_gives_a_picture(prompt: str) -> None:
    picture = quick(prompt)
    assert picture.shape == (96, 96, 3)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.03, "it is not one grey"


@given(width=st.integers(16, 160), height=st.integers(16, 160), prompt=st.sampled_from(PROMPTS))
@settings(max_examples=30, deadline=None)
def test_any_size(width: int, height: int, prompt: str) -> None:
    assert caption(paint(prompt, 3, width, height, calm)).shape == (height, width, 3)


def test_the_seed_and_the_words_decide() -> None:
    same = quick("a red fox in the snow")
    assert np.array_equal(same, quick("A red fox, in the snow!"))
    assert not np.array_equal(same, quick("a red fox in the snow", seed=2))
    assert not np.array_equal(same, quick("a red fox in the forest"))


def test_snow_is_lighter_than_night_and_a_fox_is_red() -> None:
    assert quick("snow").mean() > quick("night").mean() + 0.2
    fox, empty = quick("a fox in the snow", 5, 256), quick("snow", 5, 256)
    reddest = [float((picture[..., 0] - picture[..., 2]).max()) for picture in (fox, empty)]
    assert reddest[0] > reddest[1] + 0.2
    assert figure_for(words_of("Two FOXES")) == "fox"


def test_it_says_that_it_is_a_sketch() -> None:
    picture = quick("sea", side=128)
    changed = np.argwhere(np.abs(caption(picture) - picture).max(-1) > 0.05)
    assert len(changed) > 20
    assert changed[:, 0].min() > 100
    assert changed[:, 1].min() > 64


def test_a_picture_takes_about_a_second() -> None:
    begun = time.process_time()
    paint("a red fox in the snow", 1, 512, 512, calm)
    assert time.process_time() - begun < 3


def sampled(latent: Latent, denoise: float, run: Run, *, steps: int = 2) -> Picture:
    words = Conditioning("a boat on the sea")
    made = ksampler(run, Loaded("sketch"), 5, steps, 8.0, "euler", "normal", words, Conditioning(), latent, denoise)
    pictures: Picture | None = made.pictures
    assert pictures is not None
    return pictures


def likeness(first: Picture, second: Picture) -> float:
    """Correlation of the brightness of two pictures."""
    return float(np.corrcoef(first.mean(-1).ravel(), second.mean(-1).ravel())[0, 1])


def test_a_picture_is_kept_the_more_the_lower_denoise_is(run: Run) -> None:
    present = np.zeros((1, 64, 64, 3), np.float32)
    present[0, 16:48, 16:48] = (0.9, 0.8, 0.1)
    latent = Latent(width=64, height=64, batch=1, pictures=present)
    near, far, new = (sampled(latent, denoise, run)[0] for denoise in (0.2, 0.7, 1.0))
    assert likeness(near, present[0]) > 0.9
    assert likeness(far, present[0]) > 0.5
    assert likeness(new, present[0]) < likeness(far, present[0])
    assert np.array_equal(sampled(latent, 0.0, run), present)


def test_only_the_masked_part_changes(run: Run) -> None:
    present = np.full((1, 64, 64, 3), 0.5, np.float32)
    mask = np.zeros((1, 64, 64), np.float32)
    mask[:, :, 32:] = 1
    made = sampled(Latent(width=64, height=64, batch=1, pictures=present, mask=mask), 1.0, run)
    assert np.array_equal(made[..., :32, :], present[..., :32, :])
    assert not np.array_equal(made[..., 32:, :], present[..., 32:, :])


def test_each_of_a_batch_is_another(run: Run) -> None:
    first, second = sampled(Latent(width=64, height=64, batch=2), 1.0, run)
    assert not np.array_equal(first, second)


def test_painting_stops_when_asked(run: Run) -> None:
    run.stop.set()
    with pytest.raises(Interrupted):
        sampled(Latent(width=64, height=64, batch=1), 1.0, run)
