"""The sentences that the operator sees about the database. None of them has a user's name or a password in it."""

NOT_INSTALLED = "store: a mongodb: URL needs the extra mongo. Run: pip install 'chatelier[mongo]'"
CLOSED = "the store is closed"
BAD_URL = (
    "store: this is no MongoDB URL. Write mongodb://host:27017/chatelier?replicaSet=rs0, with name:password@ before the host "
    "if it needs them; a character of these that is no letter or digit is written as %40, %3A, %2F …"
)
NO_SRV = "store: the name in the mongodb+srv: URL cannot be looked up. Look at the name, and whether this machine can ask DNS."
NO_DATABASE = (
    "store: the URL names no database. Write its name behind the host: mongodb://host:27017/chatelier?replicaSet=rs0"
)
AWAY = "MongoDB at {place} does not answer. Start it, or look at its address and at the network between."
BUSY = "MongoDB at {place} is busy with other writers; try again in a moment."
MAYBE = "MongoDB at {place} went away in the middle of a commit: it may have been stored."
STANDALONE = (
    "MongoDB at {place} is a standalone server, which has no transactions. Make it a replica set of one member: start mongod with "
    "--replSet rs0 (in mongod.conf: replication.replSetName: rs0), then run once: mongosh --host {host} --eval 'rs.initiate()'"
)
NOT_INITIATED = (
    "MongoDB at {place} waits to become a replica set. Run once: mongosh --host {host} --eval 'rs.initiate()'"
)
OTHER_SET = "MongoDB at {place} belongs to the replica set {found!r}, not to {wanted!r}: mend replicaSet in the URL."
NO_LOGIN = (
    "MongoDB at {place} does not accept the name or the password in the store's URL (or wants another authSource)."
)
NO_RIGHTS = (
    "MongoDB at {place} does not let this user do that (without a name in the URL it is nobody): "
    "give it the role readWrite on the database {database}."
)
FULL = "The disk of MongoDB at {place} is full. Free some space; nothing of the last step was written."
INDEX_GONE = "The database {database} of MongoDB at {place} has lost an index. Start a gateway anew: it makes it again."
TOO_OLD = "MongoDB at {place} is too old ({found}); it needs 5.0 or newer."
NOT_OURS = (
    "The database {database} of MongoDB at {place} belongs to another program, or is a copy that was not finished. "
    "Choose another name."
)
TOO_NEW = (
    "The database {database} was written by a newer Chatelier (its layout is {found}, this one knows {known}). "
    "Upgrade Chatelier, or put the backup from before the upgrade in its place."
)
NO_WRITER = "The database {database} of MongoDB at {place} was emptied while it was in use. Start the gateways anew."
OPENING = "Another process is changing the layout of the database {database}; try again in a moment."
TWINS = (
    "{kind} {first!r} and {second!r} share the {field} {value!r}, which this version keeps unique. "
    "Change one of them with the version before."
)
TOO_LARGE = "{kind} {key!r} is too large for MongoDB: it takes {size} bytes, and a record has room for {most}"
TOO_WIDE = (
    "{kind} {key!r} holds a number of more than 34 digits in {path}, by which it is asked; MongoDB cannot compare it"
)
NO_TARGET = (
    "{target} is no MongoDB URL. A backup goes to another database: mongodb://host:27017/copy?replicaSet=rs0. "
    "For a file use mongodump, or `chatelier store copy` into sqlite:///absolute/path.db."
)
TARGET_EXISTS = "The database {database} at {place} holds something already; choose another name for the copy."
TOOK_TOO_LONG = (
    "MongoDB at {place} keeps one moment's view for some minutes only, and that was not enough. Try mongodump."
)
OTHER_AWAIT = "`work` awaited something that is not `tx`: read and write through `tx` only, do the rest before or after"
