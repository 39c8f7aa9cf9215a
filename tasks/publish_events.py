"""Hands events to Prefect, where automations wait for them."""

from prefect.events import emit_event
from prefect.settings import get_current_settings

from tasks.observability.events import Event


def publish_event(event: Event) -> bool:
    """Send it to the Prefect server; False when there is none. Never raises for want of one, and never waits for it.

    Without a server nobody could be listening, and Prefect would start one for the sake of the event.
    """
    if not get_current_settings().api.url:
        return False
    return emit_event(event=event.name, resource=event.resource, payload=dict(event.payload)) is not None
