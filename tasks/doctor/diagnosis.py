"""All checks, side by side, and no secret in what they say."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from tasks.config import Settings
from tasks.doctor.checks import Check, bounded
from tasks.doctor.configuration import check_configuration
from tasks.doctor.providers import KEYS, check_provider
from tasks.doctor.stores import check_disk, check_ledger, check_place, check_staging
from tasks.doctor.surroundings import check_callbacks, check_clock, check_prefect, check_versions
from tasks.doctor.world import World
from tasks.observability.secrets import KnownSecrets
from tasks.providers.keys import LoadSecret
from tasks.providers.redact import Redactor


async def diagnose(
    world: World | None = None,
    *,
    load_secret: LoadSecret | None = None,
    manifest: str | None = None,
    to: str | None = None,
) -> list[Check]:
    """Every finding, in the order in which one would mend them. Nothing is charged, and nothing is left behind but a few staged bytes.

    Args:
        world: the outside; another one for tests.
        load_secret: how to read a Prefect Secret block.
        manifest: also look whether this can be read.
        to: also look whether this can be written.
    """
    world = world or World()
    found, settings = check_configuration(world)
    found += check_versions(world)
    if settings is None:
        return [*found, *await bounded("prefect server", check_prefect(world), world.patience_s)]
    checks = {
        "ledger": check_ledger(settings, world),
        **{f"provider {key}": check_provider(key, settings, world, load_secret) for key in KEYS},
        "staging": check_staging(settings, world),
        **({"manifest": check_place("manifest", manifest, write=False)} if manifest else {}),
        **({"output": check_place("output", to, write=True)} if to else {}),
        "prefect server": check_prefect(world),
    }
    told = await asyncio.gather(*(bounded(name, check, world.patience_s) for name, check in checks.items()))
    found += [
        *chain.from_iterable(told),
        *check_callbacks(settings),
        *check_disk(settings, to, world),
        *check_clock(world),
    ]
    return _without_secrets(found, settings)


def _without_secrets(found: Sequence[Check], settings: Settings) -> list[Check]:
    redact = Redactor(KnownSecrets(settings))
    return [replace(check, what=redact(check.what), to_do=redact(check.to_do)) for check in found]
