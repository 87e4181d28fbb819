"""What people and operators read about a ComfyUI server."""

TOO_LARGE = "The file is larger than this server takes; send a smaller one."
UPLOAD_REFUSED = "This server does not take the file; send another one."
GRAPH_TOO_LARGE = "The workflow is larger than this server takes."
FAILED = "The server stopped at this workflow and did not say why; try again."
OUTPUT_GONE = "{name} is no longer on the server; run the workflow again."

LATE = "no answer in time"
BROKEN = "the connection broke"
REFUSED_CONNECTION = "no connection"
UNTRUSTED = "its certificate is not trusted; if it is your own, name who signed it in ca_file, or set verify_tls: false"
BROKEN_TLS = "the connection broke; if it asks who calls, set client_certificate and client_key"
GARBAGE = "an answer that makes no sense"
PAGE = "a web page instead of a file"


def no_answer(address: str, why: str) -> str:
    return f"ComfyUI at {address} does not answer ({why}). Start it, or correct its url in backends.comfyui.servers."


def strange_answer(address: str, what: str) -> str:
    return f"What answers at {address} is not ComfyUI, or stands before it and is in trouble ({what}). Check its url."


def forbidden(address: str, status: int) -> str:
    return f"ComfyUI at {address} wants other credentials ({status}). Set them in the headers of its server."


def maybe_queued(address: str, why: str) -> str:
    return f"ComfyUI at {address} may or may not have taken the job ({why})."
