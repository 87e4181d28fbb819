"""The commands, declared once."""

from chatelier import VARIED, Command, Option, Register, Settings, hookimpl

from . import basics, runs


class Plugin:
    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        for command in (*BASICS, *RUNS):
            register(command)


JOB = Option(name="job", description="The job's id, as under its result", required=True, rest=True)
ANY_RUN = Option(
    name="job", description="The job's id, or 1 to 5 for one of your last runs; none for the newest", rest=True
)
BASICS = (
    Command(name="start", summary="A short tour", handler=basics.start, group="First steps"),
    Command(
        name="help",
        summary="What there is, or all about one command",
        handler=basics.help_about,
        options=(Option(name="command", description="A command's name", rest=True),),
        examples=("/help", "/help make"),
        group="First steps",
    ),
    Command(name="quit", summary="Leave an open question", handler=basics.leave, group="First steps"),
    Command(
        name="refresh",
        summary="Load the workflows again",
        handler=basics.refresh,
        operators=True,
        private=True,
        group="Operators",
    ),
)
RUNS = (
    Command(
        name="status",
        summary="Your jobs: place in the queue, expected time, cancel",
        handler=runs.status,
        private=True,
        overlap="concurrent",
        group="Your pictures",
    ),
    Command(
        name="again",
        aliases=("regen",),
        summary="Repeat one of your last five runs with a new seed",
        handler=runs.again,
        options=(
            Option(
                name="run",
                type="integer",
                description="Which one: 1 is the newest",
                default=1,
                minimum=1,
                maximum=5,
                rest=True,
            ),
        ),
        examples=("/again", "/again 2"),
        group="Your pictures",
    ),
    Command(
        name="vary",
        summary="Several of a run at once, each with a seed of its own",
        handler=runs.vary,
        options=(ANY_RUN, VARIED),
        examples=("/vary", "/vary 2 --count 3", "/vary k7m2x9qwpabc"),
        group="Your pictures",
    ),
    Command(
        name="original",
        summary="A picture or video as the file it was made as",
        handler=runs.original,
        options=(ANY_RUN,),
        examples=("/original", "/original k7m2x9qwpabc"),
        private=True,
        group="Your pictures",
    ),
    Command(
        name="show",
        summary="Show a result again, with its buttons",
        handler=runs.show,
        options=(JOB,),
        examples=("/show k7m2x9qwpabc",),
        group="Your pictures",
    ),
    Command(
        name="cancel",
        summary="Cancel a job, or all of yours",
        handler=runs.cancel,
        options=(Option(name="job", description="The job's id; none for all of yours", rest=True),),
        examples=("/cancel", "/cancel k7m2x9qwpabc"),
        overlap="concurrent",
        group="Your pictures",
    ),
)
