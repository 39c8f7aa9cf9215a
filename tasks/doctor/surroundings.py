"""What runs stand on: Python and packages, the clock, callbacks, and the Prefect server."""

import re
from importlib.metadata import PackageNotFoundError, requires
from typing import Final

import httpx
from packaging.requirements import Requirement

from tasks.config import Settings
from tasks.doctor.checks import Check
from tasks.doctor.world import UnreachableError, World

_PYTHONS: Final = ((3, 11), (3, 13))
_CLOCK_WARN_S: Final = 5.0  # a Date header is whole seconds, and an answer takes time
_CLOCK_FAIL_S: Final = 240.0  # S3 refuses signatures at 900 s; nobody should come near
_POOL: Final = "cleanplate"  # deployments/prefect.yaml


def check_versions(world: World) -> list[Check]:
    """Python, and every package within the bounds that pyproject.toml gives."""
    found = []
    python = ".".join(map(str, world.python))
    if not _PYTHONS[0] <= world.python <= _PYTHONS[1]:
        found.append(Check.fail("python", f"Python {python}", "Use 3.11, 3.12 or 3.13."))
    for requirement in _requirements():
        there = world.version_of(requirement.name)
        if there is None:
            found.append(Check.fail("packages", f"{requirement.name} is not installed", _FROM_LOCK))
        elif not requirement.specifier.contains(there, prereleases=True):
            found.append(Check.fail("packages", f"{_misfit(requirement, there)}", _FROM_LOCK))
    prefect = world.version_of("prefect")
    return found or [Check.ok("packages", f"Python {python}, Prefect {prefect}, all within bounds")]


_FROM_LOCK: Final = (
    "Install from the lock: `pip install --require-hashes -r requirements.lock` (in a checkout: `make setup`)."
)


def _requirements() -> list[Requirement]:
    try:
        stated = map(Requirement, requires("cleanplate") or [])
    except PackageNotFoundError:
        return []
    return [one for one in stated if one.marker is None or one.marker.evaluate({"extra": ""})]


def _misfit(requirement: Requirement, there: str) -> str:
    if requirement.name == "fastapi":
        return (
            f"Prefect 3.8 cannot start its server with FastAPI {there} (Body() … 'min_items'); {requirement} is needed"
        )
    return f"{requirement.name} {there} is installed, {requirement} is needed"


def check_clock(world: World) -> list[Check]:
    """Against every server that told the time in the other checks: signatures, deadlines and limits live on it."""
    if not world.clock_offsets_s:
        return [Check.ok("clock", "not compared: no server was asked that tells the time")]
    offsets = sorted(world.clock_offsets_s.values())
    middle = offsets[len(offsets) // 2]  # one server with a wrong clock of its own must not accuse ours
    if abs(middle) <= _CLOCK_WARN_S:
        return [Check.ok("clock", f"right to the second ({len(offsets)} servers asked)")]
    make = Check.fail if abs(middle) > _CLOCK_FAIL_S else Check.warn
    what = f"this machine's clock is {abs(middle):.0f} s {'behind' if middle > 0 else 'ahead'}"
    return [
        make(
            "clock",
            what,
            "Let it be set by NTP (timedatectl set-ntp true): signed addresses and deadlines depend on it.",
        )
    ]


def check_callbacks(settings: Settings) -> list[Check]:
    """Whether what providers are told to call can tell true calls from forged ones."""
    own = settings.callbacks
    if own.public_url is None:
        return [Check.ok("callbacks", "none: results are polled for")]
    if not own.secrets and not own.modelslab_tokens:
        to_do = "Set CLEANPLATE_CALLBACKS__SECRETS (Runflow) or CLEANPLATE_CALLBACKS__MODELSLAB_TOKENS."
        return [
            Check.warn("callbacks", "a public URL but no secret: nobody is told to call, results are polled for", to_do)
        ]
    if not own.public_url.startswith("https://"):
        return [
            Check.warn(
                "callbacks", "their public URL is not https://", "Put a TLS proxy in front, and name its address."
            )
        ]
    return [Check.ok("callbacks", "configured; `cleanplate callbacks` must run behind the public URL")]


async def check_prefect(world: World) -> list[Check]:
    """The Prefect API that runs report to: is it one, of a version that fits, and does somebody work for the pool?"""
    name, api = "prefect server", world.prefect.api_url
    if api is None:
        return [Check.ok(name, "none: each run starts its own, which takes some seconds (PREFECT_API_URL names one)")]
    try:
        answer = await world.get(f"{api.rstrip('/')}/admin/version", world.prefect.headers)
    except UnreachableError as error:
        return [Check.fail(name, str(error), f"{error.to_do} Its address is PREFECT_API_URL.")]
    if answer.status_code in (401, 403):
        return [
            Check.fail(
                name, "it wants a sign-in", "Set PREFECT_API_AUTH_STRING (or PREFECT_API_KEY), as its operator says."
            )
        ]
    there = _version(answer)
    if there is None:
        what = f"PREFECT_API_URL answers, but is no Prefect API (HTTP {answer.status_code})"
        return [Check.fail(name, what, "It must end with /api, such as http://127.0.0.1:4200/api.")]
    ours = world.version_of("prefect") or ""
    if there.split(".")[:2] != ours.split(".")[:2]:
        to_do = f"Run both from the lock: server and workers of {ours}."
        return [Check.warn(name, f"the server is {there}, this side {ours}", to_do)]
    return [Check.ok(name, f"reachable, version {there}"), *await _pool(world, api)]


def _version(answer: httpx.Response) -> str | None:
    try:
        told = answer.json() if answer.status_code == 200 else None
    except ValueError:
        return None
    return told if isinstance(told, str) and re.match(r"\d+\.\d+\.", told) else None


async def _pool(world: World, api: str) -> list[Check]:
    try:
        answer = await world.get(f"{api.rstrip('/')}/work_pools/{_POOL}", world.prefect.headers)
        facts = answer.json() if answer.status_code == 200 else {}
    except (UnreachableError, ValueError):
        return []
    if answer.status_code == 404:
        to_do = f"`prefect work-pool create {_POOL} --type process`, then deploy (docs/operations.md); needed for schedules only."
        return [Check.warn("work pool", f"there is no work pool '{_POOL}'", to_do)]
    if facts.get("status") == "NOT_READY":
        return [Check.warn("work pool", f"no worker polls '{_POOL}'", f"prefect worker start --pool {_POOL}")]
    return [Check.ok("work pool", f"'{_POOL}' is served")]
