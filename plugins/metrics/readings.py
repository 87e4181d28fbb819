"""What is read from the gateway when somebody asks: of its store, its backends and its accounts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from chatelier import Figures, Runtime, __version__

Rows = Iterable[tuple[tuple[str, ...], float]]


class Readings(Collector):
    """`take` on the event loop; `collect` on any thread, from what was taken. disk_free: bytes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._taken: Sequence[Metric] = ()
        self.disk_free = 0

    def take(self, figures: Figures | None) -> None:
        """Remember how everything is now. figures: None while the store is away."""
        self._taken = [
            *_of_store(figures),
            *self._of_backends(),
            *self._of_accounts(),
            *self._of_process(),
        ]

    def describe(self) -> Iterator[Metric]:
        """Names are not known before the first reading; the registry need not compare them."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        yield from self._taken
        yield _gauge("chatelier_disk_free_bytes", "Room where the data are.", (), [((), self.disk_free)])

    def _of_backends(self) -> Iterator[Metric]:
        now = self._runtime.clock.monotonic()
        members = self._runtime.fleet.members
        readings: dict[str, tuple[str, Mapping[str, float]]] = {
            "up": ("1 while it answers.", {name: float(one.answers) for name, one in members.items()}),
            "accepting": (
                "1 while it answers and is neither drained nor disabled.",
                {name: float(one.takes_jobs) for name, one in members.items()},
            ),
            "waiting": (
                "Jobs in its own queue, anybody's.",
                {name: one.description.waiting for name, one in members.items() if one.answers},
            ),
            "running": (
                "Jobs that it runs, anybody's.",
                {name: one.description.running for name, one in members.items() if one.answers},
            ),
            "ours": (
                "Jobs of this process that have a place there.",
                {n: len(one.given) for n, one in members.items()},
            ),
            "places": (
                "Jobs that it may have of ours now; fewer after failures.",
                {name: one.places(now) for name, one in members.items()},
            ),
        }
        for what, (words, values) in readings.items():
            yield _gauge(f"chatelier_backend_{what}", words, ("backend",), _each(values))

    def _of_accounts(self) -> Iterator[Metric]:
        accounts = self._runtime.accounts.items()
        held = {name: float(one.is_held and one.connection.health.state == "up") for name, one in accounts}
        yield _gauge("chatelier_account_up", "1 while this process holds it on line.", ("account",), _each(held))

    def _of_process(self) -> Iterator[Metric]:
        handling, lost = self._runtime.handling, self._runtime.telling.lost
        yield _counter(
            "chatelier_events_handled", "Messages and buttons that were answered.", (), [((), handling.handled)]
        )
        yield _counter(
            "chatelier_events_refused", "Those of them that were refused, in words.", (), [((), handling.refused)]
        )
        told = "Things that a plugin was never told, because it is too slow."
        yield _counter("chatelier_told_lost", told, ("plugin",), _each(lost))
        yield InfoMetricFamily("chatelier_build", "Which Chatelier this is.", {"version": __version__})


def _of_store(figures: Figures | None) -> Iterator[Metric]:
    yield _gauge("chatelier_store_up", "1 while the store answers.", (), [((), float(figures is not None))])
    if figures is None:
        return
    yield _gauge("chatelier_draining", "1 while no orders are taken.", (), [((), float(figures.draining))])
    yield _gauge("chatelier_orders_open", "Orders that wait or run.", (), [((), figures.orders)])
    yield _gauge("chatelier_jobs", "Open jobs, up to 500 of a state.", ("state",), _each(figures.jobs))
    oldest = "Since the oldest open job was asked for; 0 without one."
    yield _gauge("chatelier_oldest_job_seconds", oldest, (), [((), figures.oldest_seconds)])
    events = "Messages that came in and wait (new), or that were set aside, up to 500."
    yield _gauge("chatelier_events", events, ("state",), _each(figures.events))
    messages = "Messages that are to go out, or that failed, up to 500."
    yield _gauge("chatelier_messages", messages, ("account", "state"), figures.messages.items())


def _each(values: Mapping[str, float]) -> Rows:
    return [((name,), value) for name, value in values.items()]


def _gauge(name: str, words: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _counter(name: str, words: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = CounterMetricFamily(name, words, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family
