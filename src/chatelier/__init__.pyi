# The public API for plugins. Type checkers read it, and so does __init__.py: each name is imported when it is first used,
# under its own name, for an `as` would be overlooked.

from .core.chat.buttons import OnJob, store_action
from .core.chat.capabilities import ButtonRules, Capabilities, Dialect, RateRules, Unit
from .core.chat.dialects import HtmlDialect, PlainDialect, TagDialect
from .core.chat.document import Document
from .core.chat.graphemes import shorten
from .core.chat.markup import escape
from .core.chat.messages import (
    FILE_TYPES,
    Ask,
    Button,
    Called,
    ChatChanged,
    ChatRef,
    Choice,
    Defer,
    Event,
    FileRef,
    FirstAnswer,
    Form,
    Invoice,
    Media,
    Option,
    Outgoing,
    Paid,
    Pressed,
    Receipt,
    Reply,
    Said,
    Submitted,
    Value,
)
from .core.chat.platform import (
    Checks,
    Deletes,
    Edits,
    Finds,
    Gateway,
    OpensDirect,
    Platform,
    Published,
    Publishes,
    Signals,
)
from .core.cli.context import open_gateway, run_command
from .core.cli.options import EXIT_CONFIG, EXIT_FAILED, config_option
from .core.clock import Clock, SystemClock
from .core.commands.call import Call
from .core.commands.command import Command
from .core.commands.help import help_for, overview, unknown_command
from .core.commands.options import check_value
from .core.errors import (
    BadInput,
    ChatelierError,
    Exists,
    Gone,
    OperatorMust,
    Refused,
    Retry,
    Stale,
    StoreTooNew,
    Unavailable,
    Uncertain,
)
from .core.figures import Figures, figures_of
from .core.gateway import Runtime
from .core.generation.backend import Attempt, Backend, Description, Ended, Frees, Output, Progress
from .core.generation.fleet import Member
from .core.generation.jobs import JOBS, Job, Result, results_of
from .core.generation.orders import cancel_job
from .core.generation.outputs import outputs_of_results
from .core.generation.queue import open_jobs, status_lines
from .core.generation.results import result_blob
from .core.generation.roster import is_draining, set_draining, set_standing
from .core.generation.verbs import VARIED, press
from .core.hookspecs import Register, hookimpl
from .core.http.tokens import guard, holds_token
from .core.keys import token
from .core.log import redact
from .core.media import Blob
from .core.media.fetch import NotServed, fetch
from .core.media.references import refer, release
from .core.outcome import Outcome, job_of, latest_media, outcome_of
from .core.people.people import Person, person_by
from .core.points.amounts import in_points, shown
from .core.points.ledger import Entry, free_in, pool_of, purchased_of
from .core.points.moves import claim, donate, give, grant, new_code, redeem, wrap
from .core.points.payments import Pack, Payments, Sale, bill, offered, sale_of, take_back
from .core.points.report import Report
from .core.points.scenarios import mode_of, set_mode
from .core.points.service import group_of
from .core.points.typed import millipoints
from .core.points.words import span
from .core.sessions.session import close_question
from .core.settings import Retention, Section, Settings
from .core.storage import (
    Cache,
    Changes,
    Copyable,
    Hints,
    Kind,
    Leased,
    Query,
    Question,
    Record,
    Scalar,
    Sieve,
    Store,
    Stored,
    StoreOpener,
    Time,
    Tx,
    Unreadable,
    claimed,
    drive,
    plain,
    revised,
    unique_values,
    unreadable,
    value_at,
)
from .core.supervise import in_time
from .core.workflows.declaration import declare
from .core.workflows.folder import FolderSource
from .core.workflows.names import name_from
from .core.workflows.refusals import ran_out_of_memory, words_of_error, words_of_rejection, words_of_skipped
from .core.workflows.saved import savers
from .core.workflows.workflow import Graph, Input, Loaded, Problem, Workflow, WorkflowSource

__version__: str
__all__ = [
    "EXIT_CONFIG",
    "EXIT_FAILED",
    "FILE_TYPES",
    "JOBS",
    "VARIED",
    "Ask",
    "Attempt",
    "Backend",
    "BadInput",
    "Blob",
    "Button",
    "ButtonRules",
    "Cache",
    "Call",
    "Called",
    "Capabilities",
    "Changes",
    "ChatChanged",
    "ChatRef",
    "ChatelierError",
    "Checks",
    "Choice",
    "Clock",
    "Command",
    "Copyable",
    "Defer",
    "Deletes",
    "Description",
    "Dialect",
    "Document",
    "Edits",
    "Ended",
    "Entry",
    "Event",
    "Exists",
    "Figures",
    "FileRef",
    "Finds",
    "FirstAnswer",
    "FolderSource",
    "Form",
    "Frees",
    "Gateway",
    "Gone",
    "Graph",
    "Hints",
    "HtmlDialect",
    "Input",
    "Invoice",
    "Job",
    "Kind",
    "Leased",
    "Loaded",
    "Media",
    "Member",
    "NotServed",
    "OnJob",
    "OpensDirect",
    "OperatorMust",
    "Option",
    "Outcome",
    "Outgoing",
    "Output",
    "Pack",
    "Paid",
    "Payments",
    "Person",
    "PlainDialect",
    "Platform",
    "Pressed",
    "Problem",
    "Progress",
    "Published",
    "Publishes",
    "Query",
    "Question",
    "RateRules",
    "Receipt",
    "Record",
    "Refused",
    "Register",
    "Reply",
    "Report",
    "Result",
    "Retention",
    "Retry",
    "Runtime",
    "Said",
    "Sale",
    "Scalar",
    "Section",
    "Settings",
    "Sieve",
    "Signals",
    "Stale",
    "Store",
    "StoreOpener",
    "StoreTooNew",
    "Stored",
    "Submitted",
    "SystemClock",
    "TagDialect",
    "Time",
    "Tx",
    "Unavailable",
    "Uncertain",
    "Unit",
    "Unreadable",
    "Value",
    "Workflow",
    "WorkflowSource",
    "bill",
    "cancel_job",
    "check_value",
    "claim",
    "claimed",
    "close_question",
    "config_option",
    "declare",
    "donate",
    "drive",
    "escape",
    "fetch",
    "figures_of",
    "free_in",
    "give",
    "grant",
    "group_of",
    "guard",
    "help_for",
    "holds_token",
    "hookimpl",
    "in_points",
    "in_time",
    "is_draining",
    "job_of",
    "latest_media",
    "millipoints",
    "mode_of",
    "name_from",
    "new_code",
    "offered",
    "open_gateway",
    "open_jobs",
    "outcome_of",
    "outputs_of_results",
    "overview",
    "person_by",
    "plain",
    "pool_of",
    "press",
    "purchased_of",
    "ran_out_of_memory",
    "redact",
    "redeem",
    "refer",
    "release",
    "result_blob",
    "results_of",
    "revised",
    "run_command",
    "sale_of",
    "savers",
    "set_draining",
    "set_mode",
    "set_standing",
    "shorten",
    "shown",
    "span",
    "status_lines",
    "store_action",
    "take_back",
    "token",
    "unique_values",
    "unknown_command",
    "unreadable",
    "value_at",
    "words_of_error",
    "words_of_rejection",
    "words_of_skipped",
    "wrap",
]
