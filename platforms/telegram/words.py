"""What people and the operator read of Telegram."""

NO_LIBRARY = "Telegram needs one more package: pip install 'chatelier[telegram]'."
NOT_KNOWN = "Telegram does not know the token of {account}. Copy it anew from @BotFather into the configuration."
OTHER_POLLER = "another program asks Telegram for the updates of {account}; stop it, or give each its own bot"
DEAF = "Telegram gave no answer for {seconds:.0f} s"
OFFLINE = "{account} is not on line"
NOT_READY = "Chatelier cannot take this right now. Press it again in a minute."
NO_WEBHOOK_URL = (
    "{account} has mode: webhook. Set http.public_url, or webhook.url, to the https address that Telegram reaches."
)
HOOKED_ELSEWHERE = (
    "{account} asks for its updates, but Telegram sends them to {url}. "
    "The gateway ends that when it starts; stop the program that asked for it, or it comes back."
)
HOOK_FAILED = "Telegram could not reach {account} at {url}: {reason}. Look at the proxy and the certificate there."
NO_CURRENCY = "Telegram collects Stars alone here."
NO_SELLER = "The bot {account} that took the payment is not configured any more."
TOO_LARGE = "This file is larger than Telegram lets a bot fetch ({megabytes:g} MB). Send a smaller one."
TOO_LARGE_TO_SEND = "{name} is larger than Telegram lets a bot send ({megabytes:g} MB)."
FILE_GONE = "Telegram no longer has this file. Send it again."
OPEN_PRIVATE = "I have an answer that is for you alone. Open a chat with @{bot}, press Start, and ask again there."
