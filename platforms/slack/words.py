"""What people and the operator read of Slack."""

NO_LIBRARY = "Slack needs two more packages: pip install 'chatelier[slack]'."
NOT_KNOWN = "Slack does not know the bot token of {account}. Copy it anew from the app's page OAuth & Permissions."
APP_NOT_KNOWN = (
    "Slack does not know the app token of {account}, or it lacks connections:write. "
    "Make one under Basic Information, App-Level Tokens."
)
SOCKET_NEEDS_MORE = "{account} has mode: socket and no app_token. Make one with connections:write, or set mode: http."
HTTP_NEEDS_MORE = "{account} has mode: http and no signing_secret. Copy it from the app's Basic Information."
LACKS = (
    "The bot of {account} lacks {scopes}. Take the manifest of `chatelier slack manifest`, and install the app again."
)
LACKS_SCOPE = "The bot lacks the scope {scope}. Install the app again with the manifest of `chatelier slack manifest`."
NOT_INSTALLED = "Slack does not know the token of {account} any more. Somebody in {title} must install the app again."
UNINSTALLED = "{title} uninstalled the app."
REMOVED = "The operator removed this workspace."
NO_BOT = "{account} has no bot token of its own; its workspaces are accounts of theirs."
SERVES = "for the workspaces that installed it"
NEEDS_ADDRESS = (
    "Nobody can install {account}: set http.public_url to the https address at which Slack's people reach this gateway."
)
CLIENT_NOT_KNOWN = (
    "Slack does not know the client of {account} ({code}). Copy client_id and client_secret from Basic Information."
)
OFFLINE = "{account} is not on line"
SILENT = "Slack's socket was away for {seconds:.0f} s"
NOT_READY = "Chatelier cannot take this right now. Try it again in a minute."
TOO_LARGE = "{name} is larger than Slack takes ({megabytes:g} MB)."
FILE_GONE = "Slack no longer has this file. Send it again."
FILE_CLOSED = "Slack does not let this app read the file: it lacks files:read, or is not in its channel."
NOT_SHARED = "Slack did not say that the file was shared"
NO_SWAP = "Slack cannot put this file in the place of what a message shows."
NOT_WORKED_ON = "Slack did not finish with a picture"
OPEN_FORM = "There is something to fill in."
OPEN_FORM_BUTTON = "Open the form"
FORM_GONE = "This form is too old. Ask again."
SUBMIT = "Run"
CLOSE = "Close"
YES = "Yes"
NO_FILES = "There is no picture in that message."
NO_TAKERS = "No command here works on pictures."
HOME = "Chatelier paints what you say. Write to it under *Messages*, mention it in a channel, or type `{command}`."
HOME_TITLE = "Open jobs"
HOME_NONE = "Nothing is being made for you right now."
HOME_STATUS = "My jobs"
HOME_ACCOUNT = "My account"
HOME_HELP = "What can I ask for?"
USE_AS_INPUT = "Use as input"
USE_AS_INPUT_SAYS = "Has a command work on the pictures of this message. The answer comes in the direct chat."
USE_COMMAND = "What to make of it"
USE_WORDS = "What the command should know"
APP_DESCRIPTION = "An atelier in every chat: pictures from words, and from other pictures."
COMMAND_SAYS = "Ask Chatelier for a picture, or for help"
COMMAND_HINT = "make a red fox"
NO_INSTALLATION = "{account} is no workspace that has the app; `chatelier slack workspaces` lists them."
IS_REMOVED = "{account} ({title}) is removed."
STILL_LISTED = "Slack did not uninstall the app there: {why}"
NO_APP = "{app} is not in the configuration"
INSTALL = "Chatelier paints what you say, in the channels and direct messages of your workspace."
INSTALL_LINK = '<a href="{url}">Add to Slack</a>'
INSTALLED = "Chatelier is in {title} now. Write to it there, or invite it to a channel and mention it."
INSTALLED_LINK = '<a href="https://app.slack.com/client/{team}">Open Slack</a>'
AGAIN_LINK = '<a href="{path}">Begin again</a>'
NOT_DONE = {
    "access_denied": "You did not allow it, so nothing was installed.",
    "already_here": "This workspace has the app already: the operator set it up by its bot token.",
    "bad_client_secret": "The operator must correct the app's client secret; nothing was installed.",
    "bad_redirect_uri": "The operator must add this page's address to the app's redirect URLs; nothing was installed.",
    "code_already_used": "This was used before, so nothing was installed. Begin again.",
    "invalid_browser": "This did not begin in this browser, or too long ago. Nothing was installed.",
    "invalid_client_id": "The operator must correct the app's client id; nothing was installed.",
    "invalid_code": "That took too long, or was used before. Nothing was installed.",
    "invalid_state": "That took too long, or was used before. Nothing was installed.",
    "missing_code": "Slack sent nothing that could be used. Nothing was installed.",
    "no_address": "The operator must set http.public_url before a workspace can install the app.",
    "no_answer": "That cannot be done right now, and nothing was installed. Try it again in a minute.",
    "no_bot": "Slack gave no token for a bot. The operator must bring the app's manifest up to date.",
    "token_rotation": "The app has token rotation switched on, which is not supported. Nothing was installed.",
    "whole_organization": "Install it in one workspace; a whole organization is not supported. Nothing was installed.",
}
NOT_DONE_OTHER = "Slack says {reason}. Nothing was installed."
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chatelier for Slack</title>
<link rel="stylesheet" href="/login/style.css">
</head>
<body><main><h1>Chatelier for Slack</h1><p role="status">{said}</p><p>{link}</p></main></body>
</html>
"""
