"""What people read about inputs that nobody described."""

LABELS = {
    "prompt": "Prompt",
    "negative": "Negative prompt",
    "image": "Picture",
    "mask": "Mask",
    "seed": "Seed",
    "steps": "Steps",
    "cfg": "Guidance",
    "strength": "Strength",
    "checkpoint": "Model",
    "batch": "How many",
}

DESCRIPTIONS = {
    "prompt": "What to make, in words",
    "negative": "What to keep out of it",
    "image": "The picture to start from",
    "mask": "White where the picture may change",
    "seed": "The same seed makes the same thing again; -1 draws a new one",
    "steps": "More take longer and show finer detail",
    "cfg": "How closely to follow the prompt",
    "guidance": "How closely to follow the prompt",
    "strength": "How far to go from the picture: 0 keeps it, 1 forgets it",
    "checkpoint": "A checkpoint that the server has",
    "width": "In pixels",
    "height": "In pixels",
    "batch": "Results of one run",
}


def label_for(name: str) -> str:
    return LABELS.get(name) or name.replace("_", " ").capitalize()
