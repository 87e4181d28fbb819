"""What people and operators read about a ComfyDeploy account."""

from chatelier import shorten

LONGEST = 200
"""Characters of what the other side said."""

LATE = "no answer in time"
BROKEN = "the connection broke"
REFUSED_CONNECTION = "no connection"
UNTRUSTED = "its certificate is not trusted"
GARBAGE = "an answer that makes no sense"

TOO_LARGE = "The file is larger than ComfyDeploy takes, which is 250 MB; send a smaller one."
UPLOAD_REFUSED = "ComfyDeploy does not take the file; send another one."
TIMED_OUT = (
    "It ran longer than its deployment at ComfyDeploy allows, and was stopped there. "
    "Ask for less at once, or ask the operator to raise the time-out of its machine."
)
FAILED = "ComfyDeploy stopped at this workflow and did not say why; try again."
NOT_BEGUN = "ComfyDeploy could not start a machine for this workflow; try again later."
OUTPUT_GONE = "{name} is no longer at ComfyDeploy; run the workflow again."
MANY_NODES = "ComfyDeploy runs its own deployments only, not this workflow."


def no_answer(address: str, why: str) -> str:
    return f"ComfyDeploy at {address} does not answer ({why}). Look at its status page, or correct base_url in backends.comfydeploy."


def strange_answer(address: str, what: str) -> str:
    return f"What answers at {address} is not ComfyDeploy's API, or is in trouble ({what}). Check base_url in backends.comfydeploy."


def bad_key(address: str) -> str:
    return f"ComfyDeploy at {address} does not know the key (401). Set api_key in backends.comfydeploy to a valid one."


def forbidden(address: str, said: str) -> str:
    if "credit" in said.lower():
        return "The ComfyDeploy account has no credits left (403). Add some at ComfyDeploy, under Billing."
    reason = f": {shorten(said, LONGEST)}" if said else ""
    return f"ComfyDeploy at {address} does not allow this (403{reason}). Check the plan and the rights of the key."


def busy(address: str, seconds: float) -> str:
    return f"ComfyDeploy at {address} has had too many requests (429); the next in {seconds:g} s."


def maybe_queued(address: str, why: str) -> str:
    return f"ComfyDeploy at {address} may or may not have taken the job ({why})."


def untold(address: str) -> str:
    return f"ComfyDeploy at {address} does not say which of its runs is this job."


def no_such_node(names: list[str]) -> str:
    return (
        f"ComfyDeploy has no deployment for {' and '.join(names)}. Deploy the workflow there again, or use another one."
    )


def no_deployment(title: str) -> str:
    return f"{title} is no longer deployed at ComfyDeploy. Ask the operator to deploy it there again."


def refused(said: str) -> str:
    reason = shorten(said, LONGEST).rstrip(".")
    return f"ComfyDeploy does not take this{': ' + reason if reason else ''}. Change it and try again."


def other_inputs(deployment: str, first: str) -> str:
    return (
        f"deployment {deployment} has other inputs than {first} of the same workflow and is not used; "
        "deploy the same version to both"
    )


def detail(workflows: int, deployments: int, *, hooks: bool) -> str:
    """ "ComfyDeploy, 3 deployments of 2 workflows, told by webhook"."""
    news = "told by webhook" if hooks else "asked at intervals (no http.public_url)"
    return f"ComfyDeploy, {_count(deployments, 'deployment')} of {_count(workflows, 'workflow')}, {news}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
