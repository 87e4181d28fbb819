"""The sentences that the operator sees about the database."""

CLOSED = "the store is closed"
BUSY = "The database {path} is in use by another process that does not let go; try again in a moment."
FULL = "The disk that holds {path} is full. Free some space; nothing of the last step was written."
READ_ONLY = "{path} cannot be written: give this user write access to the file and to its folder."
DAMAGED = "{path} is damaged or not a database. Move it away and put the last backup in its place."
CANNOT_OPEN = "{path} cannot be opened: its folder must exist and belong to this user."
DISK = "The disk that holds {path} gives errors. Check the disk, then restore the last backup."
NOT_OURS = "{path} is the database of another program. Choose another file."
TOO_NEW = (
    "{path} was written by a newer Chatelier (its layout is {found}, this one knows {known}). "
    "Upgrade Chatelier, or put the backup from before the upgrade in its place."
)
NO_PATH = "{url!r} names no file. Write sqlite:///absolute/path.db or sqlite:relative.db."
NO_MEMORY = "A database in memory forgets everything. Write sqlite:///absolute/path.db or sqlite:relative.db."
TWINS = (
    "{kind} {first!r} and {second!r} share the {field} {value!r}, which this version keeps unique. "
    "Change one of them with the version before."
)
TARGET_EXISTS = "{path} is there already; choose another name for the copy."
