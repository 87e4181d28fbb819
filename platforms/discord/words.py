"""What people and the operator read of Discord."""

NO_LIBRARY = "Discord needs one more package: pip install 'chatelier[discord]'."
NOT_KNOWN = (
    "Discord does not know the token of {account}. Copy it anew from the developer portal into the configuration."
)
NO_INTENT = (
    "Discord does not let {account} read messages: switch on the Message Content Intent in the developer portal, "
    "under Bot, or set message_content: false."
)
ELSEWHERE = (
    "{account} has another api_url or gateway_url than the bots that are on line already; one program knows one."
)
OFFLINE = "{account} is not on line"
GUARDED = "{account} sends nothing for a while: Discord refused {count} requests within ten minutes and bans at 10,000"
NOT_READY = "Chatelier cannot take this right now. Try again in a minute."
TOO_LARGE = "{name} is larger than Discord lets a bot send here ({megabytes:g} MB)."
FILE_GONE = "Discord no longer has this file. Send it again."
LOST = "The connection to Discord broke: {reason}"
OPEN_PRIVATE = (
    "I have an answer that is for you alone. Use the command with a slash, or allow direct messages from this server."
)
FORM_BUTTON = "Fill in"
FORM_GONE = "This form is gone. Send the command again."
MORE = "The other commands, by their names"
MORE_COMMAND = "Which one"
MORE_TEXT = "What you would write behind it"
MORE_FILE = "A file for it"
USE_AS_INPUT = "Use as input"
INFO = "Info"
NO_RESULT = "This message is no result of mine."
YES, NO = "yes", "no"
LACKS = "In {guild} the bot lacks: {permissions}. Give its role these permissions, or invite it again with the link of docs/discord.md."
NOT_INVITED = "The bot is in no server yet: invite it with the link of docs/discord.md."


def form(title: str, first: str) -> str:
    return f"{title}: press the button, or just send the {first}."


def menu(first: int, last: int) -> str:
    return f"Choose one ({first} to {last})"
