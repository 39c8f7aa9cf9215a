"""The files behind an item: which versions they are, what their bytes hash to, and so what its content key is."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from manifests.error_codes import ErrorCode
from manifests.ids import content_key
from manifests.items import Item
from tasks.credits import FileVersion, Ledger
from tasks.editing.storage import FileFacts, Storage, StorageError


class SourceError(Exception):
    """A file of a row cannot be had. `missing`: it is not there, so the row is at fault and not the store."""

    def __init__(self, code: ErrorCode, message: str, *, missing: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.missing = missing


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """One file of an item."""

    role: str  # image, mask or reference
    uri: str
    version: str | None = None  # None: the store does not say
    size_bytes: int = 0  # 0: the store does not say
    sha256: str | None = None  # hex; None: not known without reading
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """All files of an item."""

    image: SourceFile
    mask: SourceFile | None = None
    reference: SourceFile | None = None

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """Those that there are."""
        return tuple(file for file in (self.image, self.mask, self.reference) if file is not None)

    @property
    def size_bytes(self) -> int:
        """Of all files, as far as the stores say."""
        return sum(file.size_bytes for file in self.files)

    def known_key(self, item: Item, output_format: str) -> str:
        """The content key of files that were read."""
        key = self.key(item, output_format)
        assert key is not None  # noqa: S101 - reading hashes every file
        return key

    def key(self, item: Item, output_format: str) -> str | None:
        """The content key; None while a hash is missing."""
        if any(file.sha256 is None for file in self.files):
            return None
        return item_key(
            item,
            image=self.image.sha256 or "",
            mask=self.mask.sha256 if self.mask else None,
            reference=self.reference.sha256 if self.reference else None,
            output_format=output_format,
        )


def item_key(item: Item, *, image: str, mask: str | None, reference: str | None, output_format: str) -> str:
    """The content key of an item whose files have these SHA-256 (hex)."""
    return content_key(
        image_sha256=image,
        mask_sha256=mask,
        reference_sha256=reference,
        operation=item.operation,
        points=item.points,
        labels=item.labels,
        box=item.box,
        object_name=item.object_name,
        prompt=item.prompt,
        output_format=output_format,
    )


class SourceReader:
    """Finds and reads the files of items. A file is hashed once a version: the ledger remembers."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self._storage = storage
        self._ledger = ledger

    async def look(self, items: Sequence[Item]) -> list[Sources | SourceError]:
        """Versions of all files, and the hashes that are known, one look at the ledger for all."""
        uris = {uri for item in items for uri in (item.image_uri, item.mask_uri, item.reference_uri) if uri is not None}
        seen = await self._storage.look_at_many(uris)
        return await self._known(await asyncio.gather(*(self._versions(item, seen) for item in items)))

    async def look_at_many(self, uris: Collection[str]) -> dict[str, str]:
        """Hashes of the files that the ledger knows in their present versions, where the versions can be had cheaply."""
        facts = await self._storage.look_at_many(uris)
        versions = {uri: one.version for uri, one in facts.items() if one.version is not None}
        return await self._ledger.fingerprints_by_uri(versions) if versions else {}

    async def _known(self, found: Sequence[Sources | SourceError]) -> list[Sources | SourceError]:
        wanted = {
            FileVersion(uri=file.uri, version=file.version)
            for sources in found
            if isinstance(sources, Sources)
            for file in sources.files
            if file.version is not None
        }
        known = await self._ledger.fingerprints(list(wanted)) if wanted else {}
        return [one if isinstance(one, SourceError) else _with_hashes(one, known) for one in found]

    async def read(self, sources: Sources) -> Sources:
        """With bytes and hashes; fresh hashes are remembered.

        Raises:
            SourceError: a file cannot be read.
        """
        read = await self._storage.read_hashed([file.uri for file in sources.files])
        files = [_with_data(file, one) for file, one in zip(sources.files, read, strict=True)]
        fresh = {
            FileVersion(uri=new.uri, version=new.version): new.sha256
            for old, new in zip(sources.files, files, strict=True)
            if new.version is not None and new.sha256 is not None and old.sha256 != new.sha256
        }
        if fresh:
            await self._ledger.remember_fingerprints(fresh)
        by_role = {file.role: file for file in files}
        return Sources(image=by_role["image"], mask=by_role.get("mask"), reference=by_role.get("reference"))

    async def _versions(self, item: Item, seen: Mapping[str, FileFacts]) -> Sources | SourceError:
        roles = {"image": item.image_uri, "mask": item.mask_uri, "reference": item.reference_uri}
        wanted = [(role, uri) for role, uri in roles.items() if uri is not None]
        if all(uri in seen for _, uri in wanted):  # no task each: most items come this way
            return _of_facts(wanted, seen)
        try:
            files = await asyncio.gather(*(self._version(role, uri, seen) for role, uri in wanted))
        except SourceError as error:
            return error
        by_role = {file.role: file for file in files}
        return Sources(image=by_role["image"], mask=by_role.get("mask"), reference=by_role.get("reference"))

    async def _version(self, role: str, uri: str, seen: Mapping[str, FileFacts]) -> SourceFile:
        try:
            found = seen.get(uri) or await self._storage.look(uri)
            return SourceFile(role=role, uri=uri, version=found.version, size_bytes=found.size_bytes)
        except StorageError as error:
            raise _source_error(role, error) from error


def _with_data(file: SourceFile, read: tuple[bytes, str] | StorageError) -> SourceFile:
    if isinstance(read, StorageError):
        raise _source_error(file.role, read)
    data, sha256 = read
    return replace(file, data=data, sha256=sha256)


def _of_facts(wanted: Sequence[tuple[str, str]], seen: Mapping[str, FileFacts]) -> Sources:
    by_role = {
        role: SourceFile(role=role, uri=uri, version=seen[uri].version, size_bytes=seen[uri].size_bytes)
        for role, uri in wanted
    }
    return Sources(image=by_role["image"], mask=by_role.get("mask"), reference=by_role.get("reference"))


def _with_hashes(sources: Sources, known: dict[FileVersion, str]) -> Sources:
    def hashed(file: SourceFile | None) -> SourceFile | None:
        if file is None or file.version is None:
            return file
        return replace(file, sha256=known.get(FileVersion(uri=file.uri, version=file.version)))

    image = hashed(sources.image)
    assert image is not None  # noqa: S101 - tells the type checker what `hashed` keeps
    return Sources(image=image, mask=hashed(sources.mask), reference=hashed(sources.reference))


def _source_error(role: str, error: StorageError) -> SourceError:
    code = {
        "image": ErrorCode.IMAGE_NOT_FOUND,
        "mask": ErrorCode.MASK_NOT_FOUND,
        "reference": ErrorCode.REFERENCE_NOT_FOUND,
    }[role]
    return SourceError(code, f"the {role} cannot be read: {error}", missing=error.missing)
