"""What people read on the chat page when something cannot be done."""

NOT_UNDERSTOOD = "The page and the gateway do not understand each other. Reload the page, then try again."
NUMBER_TOO_LARGE = "One of the numbers is too large to be one. Write a smaller one."
HALF_CHARACTER = "Half of a character stands in this, perhaps of an emoji that was cut. Take it out and send it again."
FAULT = (
    "This was not taken because of a fault in the gateway, which now stands in its log. "
    "Try it once more; when that does not help, tell whoever runs this gateway."
)
TRY_AGAIN = "Chatelier cannot take this right now. Nothing is lost: try again in a minute."
STARTING = "Chatelier is just starting or stopping. Try again in a moment."
NOTHING_SAID = "Write something or add a file first."
TOO_LONG = "This is {length:,} characters long and {limit:,} is the most. Make it shorter, or send it as a text file."
TOO_MANY_FILES = "At most {limit} files go with one message. Take some away and send the rest after it."
ANSWERED_GONE = "The message that this answers is no longer there. Send it again without that."
FILE_UNKNOWN = "One of the files is no longer there. Add it again."
FILE_TOO_LARGE = "This file is larger than {megabytes:g} MB. Make it smaller and add it again."
TOO_MANY_WAITING = (
    "{limit} files are waiting to be sent, which is the most. Send some or take some away, then add this one again. "
    "What is not sent goes after a day."
)
TOO_MUCH_WAITING = (
    "With this file more than {megabytes:g} MB would be waiting to be sent. Send some files or take some away, "
    "then add this one again. What is not sent goes after a day."
)
FILE_BROKEN = "The file did not arrive whole. Add it again."
NO_ROOM = "There is no room to keep this file. Tell whoever runs this gateway."
MEDIA_GONE = "This file is no longer kept. Run the command again to make a new one."
NO_PAYMENTS = "The chat page cannot collect payments."
MESSAGE_GONE = "This message is no longer there."
