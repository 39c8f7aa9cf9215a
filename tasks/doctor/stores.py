"""Where things are kept: the ledger, the staging area for vendors that read by URL, and the places given on the command line."""

import asyncio
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from manifests.errors import ManifestError
from manifests.storage import is_local, join, locate, publish_bytes, shown
from tasks.config import Settings
from tasks.credits import Ledger, LedgerError, LedgerUnavailable
from tasks.credits.location import data_folder
from tasks.doctor.checks import Check
from tasks.doctor.world import UnreachableError, World
from tasks.providers.errors import ProviderError
from tasks.providers.staging import Stage

_GIB: Final = 1 << 30
_MIB: Final = 1 << 20


async def check_ledger(settings: Settings, world: World) -> list[Check]:
    """Open it as a run would: tables made or brought up to date, the write lock taken, an account list read."""
    url = settings.ledger_url.get_secret_value()
    try:
        async with await Ledger.open(url, durable=settings.ledger_durable, patience_s=world.patience_s / 3) as ledger:
            accounts = await ledger.balances()
            waiting = await ledger.in_doubt()
    except LedgerUnavailable as error:
        to_do = "See whether the database is up, and whether another process has held its lock for long."
        return [Check.fail("ledger", str(error), to_do)]
    except LedgerError as error:
        return [Check.fail("ledger", str(error), "Correct CLEANPLATE_LEDGER_URL, or the file or server that it names.")]
    found = [Check.ok("ledger", f"{_kind(url)}, readable and writable, {len(accounts)} accounts")]
    parked = [f"{line.provider} ({line.parked_reason})" for line in accounts if line.parked_reason]
    if parked:
        to_do = "Top up, then `cleanplate ledger top-up PROVIDER CREDITS`; or wait: the next run tries one request."
        found.append(Check.warn("parked accounts", ", ".join(parked), to_do))
    if waiting:
        to_do = "`cleanplate ledger in-doubt` lists them, `resolve` takes your word."
        found.append(Check.warn("in doubt", f"{len(waiting)} attempts wait for a person's word", to_do))
    return found


def _kind(url: str) -> str:
    return "PostgreSQL" if url.startswith("postgres") else f"SQLite at {_file(url)}"


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///")).expanduser() if url else data_folder() / "ledger.sqlite3"


async def check_staging(settings: Settings, world: World) -> list[Check]:
    """Put a few bytes there as a run would, and read them back as a vendor would: by the address, without credentials."""
    name, uri = "staging", settings.staging_uri
    if uri is None:
        return [Check.ok(name, "none: pictures go through the vendors' own uploads, within their size limits")]
    if not uri.startswith(("s3://", "https://", "http://")) and not settings.staging_public_url:
        what = f"vendors cannot read {shown(uri)}"
        return [Check.fail(name, what, "Set CLEANPLATE_STAGING_PUBLIC_URL to the https:// address of that folder.")]
    stage = Stage(
        uri, public_url=settings.staging_public_url, settings=settings.staging, s3=settings.s3, network=world.network
    )
    probe = secrets.token_bytes(32)
    try:
        address = await stage.put(probe, ".bin", "application/octet-stream")
    except ProviderError as error:
        return [
            Check.fail(
                name,
                f"{shown(uri)}: {error.message}",
                "Check that the place exists and that its credentials may write.",
            )
        ]
    return [await _read_back(address, probe, world)]


async def _read_back(address: str, probe: bytes, world: World) -> Check:
    host = urlsplit(address).netloc.rpartition("@")[2]
    try:
        answer = await world.get(address)
    except UnreachableError as error:
        return Check.fail("staging", f"written, but {error}", f"{error.to_do} Vendors must reach it from outside.")
    if answer.status_code in (401, 403):
        to_do = "The credentials must be allowed to read (s3:GetObject), the public folder must be public, and the clock right."
        return Check.fail("staging", f"written, but its address at {host} is refused: HTTP {answer.status_code}", to_do)
    if answer.content != probe:
        to_do = "Check that CLEANPLATE_STAGING_PUBLIC_URL shows the very folder that CLEANPLATE_STAGING_URI writes to."
        return Check.fail(
            "staging", f"written, but its address at {host} shows something else: HTTP {answer.status_code}", to_do
        )
    return Check.ok("staging", f"written, and read back from {host} as a vendor would")


async def check_place(name: str, uri: str, *, write: bool) -> list[Check]:
    """A place given on the command line: can it be read, or written."""
    try:
        await asyncio.to_thread(_write_and_remove if write else _look, uri)
    except ManifestError as error:
        return [Check.fail(name, str(error), "Correct the address, or install the package that it needs.")]
    except Exception as error:  # noqa: BLE001 - every fsspec backend has errors of its own
        what = f"{shown(uri)} cannot be {'written' if write else 'read'}: {type(error).__name__}"
        return [
            Check.fail(name, what, "Check that it exists, and that the credentials of this process are allowed to.")
        ]
    return [Check.ok(name, f"{shown(uri)} can be {'written' if write else 'read'}")]


def _look(uri: str) -> None:
    fs, path = locate(uri)
    fs.info(path)


def _write_and_remove(uri: str) -> None:
    probe = join(uri, f".cleanplate-doctor-{secrets.token_hex(6)}")
    publish_bytes(probe, b"doctor")
    fs, path = locate(probe)
    fs.rm(path)


def check_disk(settings: Settings, to: str | None, world: World) -> list[Check]:
    """Space where this machine writes."""
    url = settings.ledger_url.get_secret_value()
    folders = {} if url.startswith("postgres") else {"the ledger": _file(url).parent}
    if to is not None and is_local(locate(to)[0]):
        folders["the results"] = Path(locate(to)[1])
    found = []
    for what, folder in folders.items():
        free = world.free_bytes(folder)
        if free < _GIB:
            make = Check.fail if free < 100 * _MIB else Check.warn
            text = f"{free / _MIB:.0f} MiB are left for {what} at {folder}"
            found.append(make("disk", text, "Make room, or put it elsewhere: a full disk stops a run in its middle."))
    return found or [Check.ok("disk", "enough space")]
