"""Sentences of the essential commands."""

WELCOME = """**Welcome to Chatelier**, an atelier in every chat.

Tell me what you want to see: `/make a red fox in the snow`. You watch it being made, and the buttons under it change it.
Send a picture with `/effect` and I work on that. `/help` lists everything."""
TRY = "Or tap one of these:"
EXAMPLES = ("a red fox in the snow", "a lighthouse at sunset", "a forest at night")
NOTHING_RUNS = "Nothing of yours is waiting or running."
NO_RUNS = "You have not made anything yet. Try `/make a red fox in the snow`."
CANCEL_ALL = "Cancel all of them"
QUIT = "All right, forgotten."
NOTHING_TO_QUIT = "There is no open question here."


def fewer_runs(count: int) -> str:
    if count == 1:
        return "You have made one so far: /again makes it again."
    return f"You have made {count} so far: /again 1 is the newest, /again {count} the oldest of them."


def cancelling(count: int) -> str:
    """Each card says what becomes of its job."""
    return "Cancelling your job." if count == 1 else f"Cancelling your {count} jobs."
