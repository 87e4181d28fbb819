"""What a ComfyDeploy account, or whatever stands in its place, answers, and what becomes of jobs then."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from chatelier import Attempt, BadInput, ChatelierError, Gone, Output, Refused, Retry, Unavailable, Uncertain
from chatelier.plugins.comfydeploy.account import Account
from chatelier.testing import FakeClock
from comfydeploy import CLASS, FAST, account, again, attempt, fetched, portrait, serving, submitted, watched
from peers.comfydeploy import KEY, PNG, PORTRAIT, SPARE, DeployPeer, Run
from peers.comfyui import answer, silence

QUEUE = "POST /run/deployment/queue"
LOOK = "GET /run/{id}"


def words_are_plain(error: ChatelierError) -> bool:
    said = str(error)
    return said.endswith((".", "!")) and len(said) < 400 and "Error" not in said and "<" not in said and KEY not in said


# --- describing


async def test_describe_tells_what_the_operator_configured_and_what_is_deployed() -> None:
    async with DeployPeer().live() as peer:
        one = account(peer, tags=["cloud"], weight=3, places=4)
        described = await one.describe()
    assert set(described.classes) == {CLASS}
    assert (described.tags, described.weight, described.places) == (("cloud",), 3.0, 4)
    assert described.memory == 80_000_000_000, "of the H100, its largest"
    assert "2 deployments of 1 workflow" in described.detail
    assert {"authorization"} <= peer.headers[0].keys()


async def test_the_classes_stay_one_object_and_the_account_is_not_asked_at_every_look() -> None:
    async with DeployPeer().live() as peer:
        eager, calm = account(peer), account(peer, pace=type(FAST)())
        assert (await eager.describe()).classes is (await eager.describe()).classes
        before = len(peer.requests)
        for _ in range(3):
            await calm.describe()
        assert len(peer.requests) == before + 1


async def test_a_new_deployment_is_noticed_by_the_backend_and_by_whoever_waits_for_commands() -> None:
    async with DeployPeer().live() as peer:
        one = account(peer)
        peer.deployments = [PORTRAIT]
        assert [each.name for each in (await one.offer.load()).workflows] == ["portrait_studio"]
        told = asyncio.ensure_future(anext(aiter(one.offer.changes())))
        await one.describe()
        await asyncio.sleep(0)
        assert not told.done(), "nothing changed"
        peer.deployments = [PORTRAIT, PORTRAIT | {"id": "d2", "workflow_id": "wf-2", "workflow": {"name": "Upscale"}}]
        assert "ComfyDeploy:wf-2" in (await one.describe()).classes
        async with asyncio.timeout(5):
            await told
        assert [each.name for each in (await one.offer.load()).workflows] == ["portrait_studio", "upscale"]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 302])
@pytest.mark.parametrize("body", [{"detail": "no"}, [], None])
async def test_what_is_not_comfydeploy_is_unavailable_in_words(status: int, body: Any) -> None:
    async with DeployPeer().live() as peer:
        peer.faults["GET /deployments"] = answer(status, body)
        with pytest.raises(Unavailable) as raised:
            await account(peer).describe()
        with pytest.raises(Unavailable):
            await account(peer).offer.load()
    assert words_are_plain(raised.value)


async def test_too_many_looks_are_no_reason_to_count_as_down() -> None:
    async with DeployPeer().live() as peer:
        one = account(peer)
        known = await one.describe()
        peer.faults["GET /deployments"] = answer(429, {"detail": "slow down"}, **{"Retry-After": "60"})
        assert await one.describe() == known
        before = len(peer.requests)
        assert await one.describe() == known
        assert len(peer.requests) == before, "and it is not asked again before its time"
        with pytest.raises(Unavailable):
            await account(peer).describe()


async def test_a_wrong_key_is_said_to_the_operator_without_the_key() -> None:
    async with DeployPeer().live() as peer:
        with pytest.raises(Unavailable, match="api_key") as raised:
            await account(peer, api_key="another-key").describe()
    assert "another-key" not in str(raised.value)


async def test_an_account_with_nothing_deployed_is_well_and_offers_nothing() -> None:
    async with DeployPeer().live() as peer:
        peer.deployments = []
        one = account(peer)
        assert (await one.describe()).classes == {}
        assert not (await one.offer.load()).workflows


# --- several deployments of one workflow


async def test_deployments_of_a_workflow_share_its_jobs_and_the_bigger_takes_more() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        peer.deployments = [PORTRAIT | {"concurrency_limit": 2}, SPARE | {"concurrency_limit": "4"}]
        assert len((await one.offer.load()).workflows) == 1
        for _ in range(6):
            await one.submit(attempt(portrait("slow")))
        used = [body["deployment_id"] for body in peer.bodies]
        assert sorted(used) == [PORTRAIT["id"]] * 2 + [SPARE["id"]] * 4


async def test_a_deployment_that_is_gone_is_passed_over() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        peer.missing = {PORTRAIT["id"]}
        for _ in range(3):
            _, ended = await submitted(one, attempt())
            assert ended.state == "done"
        assert {body["deployment_id"] for body in peer.bodies} == {SPARE["id"]}
        peer.missing = {PORTRAIT["id"], SPARE["id"]}
        with pytest.raises(Refused, match="no longer deployed") as raised:
            await one.submit(attempt())
    assert words_are_plain(raised.value)


async def test_one_that_failed_to_answer_comes_after_the_others() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        await one.describe()
        peer.queues_then_fails = True
        with pytest.raises(Uncertain):
            await one.submit(attempt())
        peer.queues_then_fails = False
        for _ in range(3):
            await one.submit(attempt())
        first, *later = [body["deployment_id"] for body in peer.bodies]
        assert first not in later


@pytest.mark.parametrize(
    ("environments", "serving_them"),
    [([], {"dep-portrait-1"}), (["staging"], {"s"}), (["production", "staging"], {"dep-portrait-1", "s"})],
)
async def test_people_get_what_is_in_production_unless_the_operator_says_otherwise(
    environments: list[str], serving_them: set[str]
) -> None:
    async with DeployPeer().live() as peer, serving(peer, environments=environments) as one:
        peer.deployments = [PORTRAIT, SPARE | {"id": "s", "environment": "staging"}]
        for _ in range(2):
            await one.submit(attempt(portrait("slow")))
        assert {body["deployment_id"] for body in peer.bodies} == serving_them


async def test_a_workflow_with_a_staging_deployment_only_is_offered_unless_staging_is_not_wanted() -> None:
    async with DeployPeer().live() as peer:
        peer.deployments = [PORTRAIT | {"environment": "staging"}]
        assert len((await account(peer).offer.load()).workflows) == 1
        assert not (await account(peer, environments=["production"]).offer.load()).workflows


async def test_a_deployment_with_other_inputs_is_named_and_not_used() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        peer.deployments = [PORTRAIT, SPARE | {"input_types": SPARE["input_types"][:1]}]
        loaded = await one.offer.load()
        assert [problem.reason for problem in loaded.problems if SPARE["id"] in problem.reason]
        for _ in range(2):
            await one.submit(attempt(portrait("slow")))
        assert {body["deployment_id"] for body in peer.bodies} == {PORTRAIT["id"]}


# --- submitting


async def test_what_was_not_given_is_left_to_the_deployment_and_the_gpu_is_asked_for() -> None:
    async with DeployPeer().live() as peer, serving(peer, gpu="H100") as one:
        made = attempt(portrait("a fox", negative_prompt="", input_image=None))
        await one.submit(made)
        (body,) = peer.bodies
    assert {"prompt": "a fox", "negative_prompt": ""}.items() <= body["inputs"].items()
    assert "input_image" not in body["inputs"]
    assert body["gpu"] == "H100"
    assert "webhook" not in body, "there is no address that it could come to"


async def test_a_graph_for_a_server_is_refused() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        for graph in ({"3": {"class_type": "KSampler", "inputs": {}}}, {**portrait(), "2": portrait()["1"]}):
            with pytest.raises(Refused) as raised:
                await one.submit(attempt(graph))
            assert words_are_plain(raised.value)
        assert not peer.bodies


FIELD = {
    "detail": [{"loc": ["body", "inputs", "steps"], "msg": "Input should be a valid integer", "type": "int_parsing"}]
}
REFUSALS = [
    (422, FIELD, Refused, "steps: Input should be a valid integer"),
    (422, {"detail": [7, {"loc": None}]}, Refused, "does not take this"),
    (400, {"detail": "Workflow version is gone"}, Refused, "Workflow version is gone"),
    (401, {"detail": "Invalid token"}, Unavailable, "api_key"),
    (403, {"detail": "Insufficient credits"}, Unavailable, "no credits"),
    (403, {"detail": "Plan does not allow H100"}, Unavailable, "Plan does not allow H100"),
    (429, {"detail": "slow down"}, Retry, "429"),
    (500, "Internal Server Error", Uncertain, "may or may not"),
    (502, "<html>Bad gateway</html>", Uncertain, "may or may not"),
    (200, {"run": 1}, Uncertain, "may or may not"),
    (200, [], Uncertain, "may or may not"),
    (404, {"detail": "Not Found"}, Unavailable, "base_url"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), REFUSALS, ids=[f"{r[0]}-{r[3][:12]}" for r in REFUSALS])
async def test_each_answer_to_a_job_is_told_as_what_it_is(
    status: int, body: Any, kind: type[ChatelierError], said: str
) -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        await one.describe()
        peer.faults[QUEUE] = answer(status, body)
        with pytest.raises(kind) as raised:
            await one.submit(attempt())
    assert type(raised.value) is kind
    assert said in str(raised.value)
    assert words_are_plain(raised.value)


async def test_the_time_that_it_asks_for_is_the_time_that_it_gets() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        await one.describe()
        peer.faults[QUEUE] = answer(429, {}, **{"Retry-After": "17"})
        with pytest.raises(Retry) as raised:
            await one.submit(attempt())
    assert raised.value.after == 17


# --- it may have been queued


async def test_queued_with_a_500_is_found_and_watched_to_its_end() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        await submitted(one, attempt())
        peer.queues_then_fails = True
        made = attempt()
        with pytest.raises(Uncertain):
            await one.submit(made)
        await submitted_by_others(peer)
        assert await one.find(made) == "ended"
        _, ended = await watched(one, again(made, made.id))  # the core knows no other id of it
        assert ended.state == "done"
        assert peer.bodies[1]["inputs"]["chatelier_attempt"] == made.id
        assert peer.bodies[1]["inputs"]["chatelier_attempt"] in str(peer.runs[_run(peer, made)].told())


async def submitted_by_others(peer: DeployPeer) -> None:
    """Runs from the vendor's own page."""
    for n in range(3):
        peer.runs[f"other{n}"] = Run(f"other{n}", {"deployment_id": "x", "inputs": {"prompt": "mine"}}, "success")


def _run(peer: DeployPeer, made: Attempt) -> str:
    return next(run.id for run in peer.runs.values() if run.body["inputs"].get("chatelier_attempt") == made.id)


async def test_what_was_just_sent_is_not_called_absent_until_it_cannot_be_on_its_way() -> None:
    clock = FakeClock()
    async with DeployPeer().live() as peer:
        one, made = account(peer, clock=clock), attempt()
        await one.describe()
        peer.faults[QUEUE] = answer(504, "upstream timed out")
        with pytest.raises(Uncertain):
            await one.submit(made)
        assert await one.find(made) == "unknown"
        await clock.advance(FAST.doubt_seconds)
        assert await one.find(made) == "absent"


async def test_what_could_not_be_sent_is_simply_not_there() -> None:
    async with DeployPeer().live() as peer:
        one, made = account(peer), attempt()
        await one.describe()
        await peer.stop()
        with pytest.raises(Unavailable):
            await one.submit(made)
        await peer.start()
        assert await one.find(made) == "absent"


async def test_a_job_that_is_taken_back_while_it_is_sent_may_be_there() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        await one.describe()
        peer.faults[QUEUE] = silence
        made = attempt()
        submitting = asyncio.create_task(one.submit(made))
        await peer.until(lambda: QUEUE in peer.requests)
        submitting.cancel()
        await asyncio.wait({submitting})
        assert await one.find(made) == "unknown"


async def test_another_process_finds_the_run_of_an_attempt() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("slow"))
        await one.submit(made)
        await submitted_by_others(peer)
        other = account(peer)
        assert await other.find(made) in {"waiting", "running"}
        assert await other.find(attempt()) == "absent"
        assert await other.find(again(made, _run(peer, made))) == "running"


async def test_where_it_cannot_be_told_it_is_said_so() -> None:
    """Runs that do not tell what they were queued with, and a list that is not there."""
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("slow"))
        await one.describe()
        peer.runs["mute"] = Run("mute", {"inputs": {}}, "running", more={"workflow_inputs": None, "webhook": None})
        assert await one.find(made) == "unknown"
        with pytest.raises(Unavailable) as raised:
            await watched(one, again(made, made.id))
        assert words_are_plain(raised.value)
        peer.age(peer.runs["mute"], hours=3)
        assert await one.find(made) == "absent", "it is older than anything that is still open"
        peer.faults["GET /v2/workflow/{id}/runs"] = answer(404, {"detail": "Not Found"})
        assert await one.find(made) == "unknown"


async def test_a_search_goes_back_over_pages_of_runs() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("slow"))
        await one.submit(made)
        peer.age(peer.runs[_run(peer, made)], minutes=1)
        for n in range(60):
            mark = {"inputs": {"chatelier_attempt": f"another {n}"}}
            peer.runs[f"r{n}"] = Run(f"r{n}", mark, "success")
        assert await account(peer).find(made) == "unknown", "too many to look at in one go"
        other = account(peer)
        for _ in range(3):
            if (found := await other.find(made)) != "unknown":
                break
        assert found == "running", "what was looked at is not looked at again"


# --- watching


async def looked_at(peer: DeployPeer, times: int) -> None:
    await peer.until(lambda: peer.requests.count(LOOK) >= times)


async def test_progress_is_told_until_the_end() -> None:
    async def script(peer: DeployPeer, run: Run) -> None:
        for status, more in (
            ("queued", {"queue_position": 2}),
            ("running", {"live_status": "Executing KSampler", "progress": "0.5"}),
            ("uploading", {"progress": 1}),
        ):
            looks = peer.requests.count(LOOK)
            await peer.move(run, status, **more)
            await looked_at(peer, looks + 2)
        peer.finish(run, [peer.output("a.png")])

    async with DeployPeer(script).live() as peer, serving(peer) as one:
        made = attempt()
        told, ended = await watched(one, again(made, await one.submit(made)))
    assert [(each.phase, each.ahead, each.fraction, each.title) for each in told if each != told[0] or each.ahead] == [
        ("waiting", 2, None, ""),
        ("running", None, 0.5, "Executing KSampler"),
        ("running", None, 1.0, ""),
    ]
    assert ended.state == "done"
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert ended.started_at <= ended.ended_at


async def test_results_that_come_a_moment_after_the_success_are_not_missed() -> None:
    async def script(peer: DeployPeer, run: Run) -> None:
        looks = peer.requests.count(LOOK)
        peer.finish(run, [])
        await peer.until(lambda: peer.requests.count(LOOK) > looks)
        run.outputs = [peer.output("late.png")]

    async with DeployPeer(script).live() as peer, serving(peer) as one:
        _, ended = await submitted(one, attempt())
        assert [output.name for output in ended.outputs] == ["late.png"]


async def test_a_success_without_results_has_none() -> None:
    async def script(peer: DeployPeer, run: Run) -> None:
        peer.finish(run, [])

    async with DeployPeer(script).live() as peer, serving(peer) as one:
        _, ended = await submitted(one, attempt())
    assert (ended.state, ended.outputs) == ("done", ())


@pytest.mark.parametrize("fault", [answer(500, ""), answer(200, "<html>"), answer(429, {}, **{"Retry-After": "0"})])
async def test_trouble_while_it_runs_is_waited_for(fault: Any) -> None:
    async with (
        DeployPeer().live() as peer,
        serving(peer, pace=type(FAST)(describe_seconds=0, settle_seconds=0.02)) as one,
    ):
        made = attempt(portrait("slow"))
        remote = await one.submit(made)
        peer.faults[LOOK] = fault
        watching = asyncio.create_task(watched(one, again(made, remote)))
        await peer.until(lambda: peer.requests.count(LOOK) > 2)
        del peer.faults[LOOK]
        peer.finish(peer.runs[remote], [peer.output("a.png")])
        _, ended = await watching
    assert ended.state == "done"


async def test_trouble_that_does_not_end_is_told() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("slow"))
        remote = await one.submit(made)
        peer.faults[LOOK] = answer(503, "")
        with pytest.raises(Unavailable):
            await watched(one, again(made, remote))
        del peer.faults[LOOK]
        assert await one.find(again(made, remote)) == "running"


async def test_a_run_that_is_there_no_more_is_lost_at_the_second_look() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("slow"))
        remote = await one.submit(made)
        hidden = peer.runs.pop(remote)
        watching = asyncio.create_task(watched(one, again(made, remote)))
        await peer.until(lambda: peer.requests.count(LOOK) == 1)
        peer.runs[remote] = hidden
        peer.finish(hidden, [peer.output("a.png")])
        _, ended = await watching
        assert ended.state == "done", "it was not there to read yet"
        peer.runs.clear()
        _, ended = await watched(one, again(made, remote))
        assert ended.state == "lost"


@pytest.mark.parametrize("status", ["failed", "timeout", "cancelled"])
async def test_other_ends_are_told(status: str) -> None:
    async def script(peer: DeployPeer, run: Run) -> None:
        peer.finish(run, [{"data": {"exception_message": "KSampler went wrong"}}], status)

    async with DeployPeer(script).live() as peer, serving(peer) as one:
        _, ended = await submitted(one, attempt())
    assert ended.state == ("cancelled" if status == "cancelled" else "failed")
    assert ("KSampler went wrong" in ended.words) == (status == "failed")


# --- cancelling


async def test_a_cancel_that_is_answered_with_500_does_not_hurt() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("slow"))
        remote = await one.submit(made)
        peer.faults["POST /run/{id}/cancel"] = answer(500, {"detail": "Error"})
        await one.cancel(again(made, remote))
        assert peer.requests.count("POST /run/{id}/cancel") == 3, "it may have come while the run was handed over"
        assert await one.find(again(made, remote)) == "running"
        del peer.faults["POST /run/{id}/cancel"]
        await one.cancel(again(made, remote))
        await one.cancel(again(made, "no such run"))
        _, ended = await watched(one, again(made, remote))
        assert ended.state == "cancelled"


async def test_a_cancel_is_seen_at_once() -> None:
    """Without waiting for the next look."""
    async with DeployPeer().live() as peer, serving(peer, poll_seconds=300) as one:
        made = attempt(portrait("slow"))
        remote = await one.submit(made)
        watching = asyncio.create_task(watched(one, again(made, remote)))
        await peer.until(lambda: LOOK in peer.requests)
        await one.cancel(again(made, remote))
        _, ended = await watching
    assert ended.state == "cancelled"


async def test_a_cancel_of_what_cannot_be_told_is_not_claimed() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        peer.faults["GET /v2/workflow/{id}/runs"] = answer(404, {"detail": "Not Found"})
        with pytest.raises(Unavailable):
            await one.cancel(attempt())
        assert "POST /run/{id}/cancel" not in peer.requests


# --- files


async def test_files_are_sent_along_and_named_by_their_address() -> None:
    data = PNG * 3
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("a fox", input_image="sent1"), files={"sent1": data})
        await one.submit(made)
        address = peer.bodies[0]["inputs"]["input_image"]
        assert peer.uploads[address] == data
        await one.submit(attempt(portrait("b", input_image="x"), files={"x": data}))
        assert peer.requests.count("POST /file/upload") == 1, "the same file is not sent again"


@pytest.mark.parametrize(
    ("status", "kind"), [(413, Refused), (422, Refused), (401, Unavailable), (500, Unavailable), (200, Unavailable)]
)
async def test_a_file_that_is_not_taken_is_told_and_nothing_is_queued(status: int, kind: type[ChatelierError]) -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        peer.faults["POST /file/upload"] = answer(status, {"detail": "no"})
        with pytest.raises(kind) as raised:
            await one.submit(attempt(portrait("a fox", input_image="x"), files={"x": PNG}))
        assert not peer.bodies
    assert words_are_plain(raised.value)


async def test_a_file_beyond_the_limit_is_refused_before_it_is_sent() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made = attempt(portrait("a fox", input_image="x"), files={"x": PNG})
        large = Attempt(
            id=made.id, graph=made.graph, read=made.read, files={"x": replace(made.files["x"], size=250_000_001)}
        )
        with pytest.raises(Refused, match="250 MB"):
            await one.submit(large)
        assert "POST /file/upload" not in peer.requests


async def test_an_address_that_expired_is_renewed() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made, ended = await submitted(one, attempt())
        assert await fetched(one, made, ended) == PNG
        peer.resign()
        assert await fetched(one, made, ended) == PNG
        peer.files.clear()
        with pytest.raises(Gone) as raised:
            await fetched(one, made, ended)
        assert words_are_plain(raised.value)
        peer.runs.clear()
        with pytest.raises(Gone):
            await fetched(one, made, ended)


async def test_a_store_in_trouble_is_asked_again_later() -> None:
    async with DeployPeer().live() as peer, serving(peer) as one:
        made, ended = await submitted(one, attempt())
        peer.faults["GET /store"] = answer(503, "SlowDown")
        with pytest.raises(Unavailable):
            await fetched(one, made, ended)
        del peer.faults["GET /store"]
        await peer.stop()
        with pytest.raises(Unavailable):
            await fetched(one, made, ended)
        await peer.start()
        assert await fetched(one, made, ended) == PNG


async def test_a_public_account_cannot_lead_into_the_private_network() -> None:
    """Its files are fetched as strangers' files are."""
    async with DeployPeer().live() as peer:
        peer.files["secret.png"] = PNG
        public = account(peer, base_url="https://1.1.1.1/api")
        output = Output(n=0, node="1", name="a.png", remote={"url": peer.address("secret.png")})
        with pytest.raises(BadInput, match="private network"):
            _ = [piece async for piece in public.fetch(attempt(remote="r"), output)]
        assert "GET /store" not in peer.requests


async def test_a_text_needs_no_fetching() -> None:
    async def script(peer: DeployPeer, run: Run) -> None:
        peer.finish(run, [{"data": {"text": ["a red fox"]}}])

    async with DeployPeer(script).live() as peer, serving(peer) as one:
        made, ended = await submitted(one, attempt())
        assert await fetched(one, made, ended) == b"a red fox"


# --- older accounts

OLD: dict[str, Any] = {
    "deployments": {"Portrait Studio": {"id": "dep-old", "inputs": {"prompt": "text", "input_image": "image"}}}
}
OLD_CLASS = "ComfyDeploy:dep-old"


def old_portrait(**inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": OLD_CLASS, "inputs": {"prompt": "quick", **inputs}}}


async def test_an_older_account_is_spoken_to_as_it_wants() -> None:
    async with DeployPeer(is_old=True).live() as peer, serving(peer, **OLD) as one:
        (workflow,) = (await one.offer.load()).workflows
        assert (workflow.name, [item.name for item in workflow.inputs]) == ("portrait_studio", ["prompt", "image"])
        made, ended = await submitted(one, attempt(old_portrait(input_image="x"), files={"x": PNG * 2}))
        assert await fetched(one, made, ended) == PNG * 2
        (body,) = peer.bodies
        assert set(body) == {"deployment_id", "inputs"}
        assert peer.uploads[body["inputs"]["input_image"]] == PNG * 2
        tries = len(peer.requests)
        await submitted(one, attempt(old_portrait()))
        assert len(peer.requests) == tries + 2, "found out once: then it is queued and looked at"


async def test_another_process_reads_an_older_run_too() -> None:
    async with DeployPeer(is_old=True).live() as peer, serving(peer, **OLD) as one:
        made, ended = await submitted(one, attempt(old_portrait()))
        other: Account = account(peer, **OLD)
        _, late = await watched(other, made)
        assert late.outputs == ended.outputs
        assert await other.find(attempt(old_portrait())) == "unknown", "an older account lists no runs"
        _, lost = await watched(other, again(made, "no-such-run"))
        assert lost.state == "lost"


async def test_an_older_account_without_declared_deployments_says_what_is_missing() -> None:
    async with DeployPeer(is_old=True).live() as peer:
        with pytest.raises(Unavailable, match="lists no deployments"):
            await account(peer).describe()


async def test_silence_ends() -> None:
    async with DeployPeer().live() as peer:
        one = account(peer, pace=type(FAST)(look_seconds=0.2))
        peer.faults["GET /deployments"] = silence
        with pytest.raises(Unavailable, match="in time"):
            await one.describe()
