"""What came in, made fit to be stored and shown anywhere."""

from collections.abc import Mapping

from ..values import replace
from .markup import clean
from .messages import Body, Called, Event, Said, Submitted, Value


def cleaned(event: Event) -> Event:
    """The same event; what its sender typed has no control characters and no halves of surrogate pairs."""
    name, body = clean(event.name), _body(event.body)
    return event if name == event.name and body is event.body else replace(event, name=name, body=body)


def _body(body: Body) -> Body:
    match body:
        case Said(text=said):
            text = clean(said)
            return body if text == said else replace(body, text=text)
        case Called():
            return replace(body, options=_values(body.options))
        case Submitted():
            return replace(body, values=_values(body.values))
    return body


def _values(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: clean(value) if isinstance(value, str) else value for name, value in values.items()}
