"""The commands, declared once."""

from chatelier import Choice, Command, Option, Register, Settings, hookimpl

from . import commands, words

GROUP = "Points"
AMOUNT = Option(name="amount", description="How many points, such as 25 or 2.5", required=True)


class Plugin:
    @hookimpl
    def register_commands(self, register: Register[Command], settings: Settings) -> None:
        if settings.points.enabled:
            for command in COMMANDS:
                register(command)


COMMANDS = (
    Command(
        name="account",
        aliases=("balance",),
        summary="What you have, your level, and the next refill",
        handler=commands.account,
        private=True,
        overlap="concurrent",
        group=GROUP,
    ),
    Command(
        name="points",
        summary="Your points by the names of each kind",
        handler=commands.points,
        private=True,
        overlap="concurrent",
        group=GROUP,
    ),
    Command(
        name="history",
        summary="The latest of what you paid and were given",
        handler=commands.show_history,
        options=(
            Option(
                name="lines",
                type="integer",
                description="How many lines",
                default=commands.LINES,
                minimum=1,
                maximum=50,
                rest=True,
            ),
        ),
        examples=("/history", "/history 50"),
        private=True,
        group=GROUP,
    ),
    Command(
        name="gift",
        aliases=("give",),
        summary="Give purchased points to somebody, or make a code of them",
        details="Answer a message of theirs, or name them by their handle. With neither you get a code for whoever has it first.",
        handler=commands.gift,
        options=(AMOUNT, Option(name="to", description="Whom: a handle such as telegram:42")),
        examples=("/gift 50", "/gift 50 telegram:42"),
        group=GROUP,
    ),
    Command(
        name="donate",
        summary="Put purchased points into the pool of this group",
        handler=commands.donate_to_group,
        options=(AMOUNT,),
        examples=("/donate 50",),
        group=GROUP,
    ),
    Command(
        name="redeem",
        summary="The points of a code, or those that were bought for you",
        handler=commands.redeem_code,
        options=(Option(name="code", description="The code, as it was given to you", rest=True),),
        examples=("/redeem ABCD-EFGH-JKLM-NPQR", "/redeem"),
        private=True,
        group=GROUP,
    ),
    Command(
        name="buy",
        summary="Buy points that stay",
        handler=commands.buy,
        options=(Option(name="pack", type="integer", description="Which one of those for sale", minimum=1, rest=True),),
        examples=("/buy", "/buy 2"),
        private=True,
        group=GROUP,
    ),
    Command(
        name="refund",
        summary="Give a payment back, and take its points",
        handler=commands.refund,
        options=(
            Option(name="payment", description="Its id, as its person was told: stars:ABC", required=True),
            Option(name="reason", description="Why; it stands in the ledger", advanced=True),
        ),
        examples=("/refund stars:ABC",),
        operators=True,
        private=True,
        group="Operators",
    ),
    Command(
        name="group",
        summary="How this group pays; its admins set it",
        details="\n".join(f"- `{name}`: {what}" for name, what in words.MODES.items()),
        handler=commands.group,
        options=(
            Option(
                name="what",
                type="choice",
                description="What to set",
                choices=(Choice(value="accounting"),),
            ),
            Option(
                name="mode",
                type="choice",
                description="Who pays",
                choices=tuple(Choice(value=name) for name in words.MODES),
            ),
        ),
        examples=("/group", "/group accounting user"),
        group=GROUP,
    ),
    Command(
        name="grant",
        summary="Give somebody purchased points out of nothing",
        handler=commands.grant_points,
        options=(
            Option(name="to", description="Whom: a handle such as telegram:42", required=True),
            AMOUNT,
            Option(name="reason", description="Why; it stands in the ledger", advanced=True),
        ),
        examples=("/grant telegram:42 500", '/grant telegram:42 500 --reason "thanks for testing"'),
        operators=True,
        private=True,
        group="Operators",
    ),
)
