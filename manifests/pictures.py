"""Finding pictures in folders and globs of any fsspec filesystem, a folder at a time, each with its mask and reference."""

import hashlib
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import fsspec
from fsspec.utils import glob_translate

from manifests.errors import ManifestError
from manifests.item_ids import fault_of
from manifests.patterns import Picture, PicturePattern
from manifests.storage import StorageOptions, is_local, locate, options_for, shown, storage_errors

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_MAGIC: Final = re.compile(r"[*?\[]")
_ANYTHING: Final = re.compile("")
_CANNOT_BE_LISTED: Final = ("http://", "https://")  # taken on trust; `manifest check --files` asks
_EXAMPLES: Final = 5
_FOLDERS_KEPT: Final = 8
_ID_CHARS: Final = 120


@dataclass(kw_only=True, slots=True)
class Tally:
    """What was seen on the way, for the report."""

    rows: int = 0
    without_mask: int = 0
    without_reference: int = 0
    examples: list[str] = field(default_factory=list)  # of pictures without a companion
    left_out: int = 0
    other_files: int = 0  # neither picture nor mask nor reference


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPicture:
    """A row of the manifest to be."""

    item_id: str
    image_uri: str
    mask_uri: str | None
    reference_uri: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Folder:
    root: str  # the place that was searched
    uri: str
    everything: list[str]  # addresses of all files; empty when not listed
    wanted: list[str]  # of those that the source means


class PictureSearch:
    """Pictures below some places, with companions by pattern. Holds one folder's listing at a time, never the whole."""

    def __init__(
        self,
        sources: Sequence[str],
        *,
        mask: str | None,
        reference: str | None,
        keep_without: bool,
        options: StorageOptions | None,
    ) -> None:
        self.tally = Tally()
        self._sources = sources
        self._mask = PicturePattern(mask, "the mask pattern") if mask else None
        self._reference = PicturePattern(reference, "the reference pattern") if reference else None
        self._keep_without = keep_without
        self._options = options
        self._listings: OrderedDict[str, frozenset[str]] = OrderedDict()

    def __iter__(self) -> Iterator[FoundPicture]:
        for source in self._sources:
            for folder in _folders(source, self._options):
                yield from self._in_folder(folder)

    def _in_folder(self, folder: _Folder) -> Iterator[FoundPicture]:
        if folder.everything:
            self._remember(folder.uri, frozenset(folder.everything))
        pictures = self._pictures(folder.root, folder.wanted)
        stems = Counter(picture.stem for picture in pictures)
        for picture in pictures:
            found = self._with_companions(picture, is_alone=stems[picture.stem] == 1)
            if found:
                self.tally.rows += 1
                yield found

    def _pictures(self, root: str, uris: Sequence[str]) -> list[Picture]:
        """The files of one folder that are pictures to edit: masks and references are told apart by their patterns."""
        patterns = [one for one in (self._mask, self._reference) if one and not one.is_constant]
        apart = [one for one in patterns if not one.is_beside]
        beside = [one for one in patterns if one.is_beside]
        likely = [uri for uri in uris if uri.lower().endswith(SUFFIXES) and not any(one.fits(uri) for one in apart)]
        found = [Picture(uri=uri, root=root) for uri in likely]
        companions = {
            one.address(picture) for one in beside for picture in found if one.address(picture) != picture.uri
        }
        self.tally.other_files += sum(1 for uri in uris if not uri.lower().endswith(SUFFIXES))
        return [picture for picture in found if picture.uri not in companions]

    def _with_companions(self, picture: Picture, *, is_alone: bool) -> FoundPicture | None:
        mask, reference = self._companion(self._mask, picture), self._companion(self._reference, picture)
        lacks_mask = self._mask is not None and mask is None
        lacks_reference = self._reference is not None and reference is None
        self.tally.without_mask += lacks_mask
        self.tally.without_reference += lacks_reference
        if lacks_mask or lacks_reference:
            if len(self.tally.examples) < _EXAMPLES:
                self.tally.examples.append(shown(picture.uri))
            if not self._keep_without:
                self.tally.left_out += 1
                return None
        return FoundPicture(
            item_id=item_id_of(picture, is_alone=is_alone),
            image_uri=picture.uri,
            mask_uri=mask,
            reference_uri=reference,
        )

    def _companion(self, pattern: PicturePattern | None, picture: Picture) -> str | None:
        if pattern is None:
            return None
        uri = pattern.address(picture)
        if uri == picture.uri:
            return None
        if uri.startswith(_CANNOT_BE_LISTED) or uri in self._listing(uri.rpartition("/")[0]):
            return uri
        return None

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            fs, path = locate(folder, options_for(folder, self._sources[0], self._options))
            try:
                with storage_errors(folder):
                    self._remember(folder, frozenset(_address(fs, one) for one in fs.ls(path, detail=False)))
            except FileNotFoundError:
                self._remember(folder, frozenset())
        self._listings.move_to_end(folder)
        return self._listings[folder]

    def _remember(self, folder: str, uris: frozenset[str]) -> None:
        self._listings[folder] = uris
        while len(self._listings) > _FOLDERS_KEPT:
            self._listings.popitem(last=False)


def item_id_of(picture: Picture, *, is_alone: bool = True) -> str:
    """A readable id that stays the same: folder and stem below the searched place, `shoes__front`.

    Where that would not be unique or not safe as a file name, a short hash of the path below the searched place follows.
    """
    below = f"{picture.folder}/{picture.name}".lstrip("/")
    readable = f"{picture.folder}/{picture.stem}".lstrip("/").replace("/", "__")
    is_plain = is_alone and "__" not in below and len(readable) <= _ID_CHARS and fault_of(readable) is None
    if is_plain:
        return readable
    safe = re.sub(r"[^\w.-]+", "_", readable).strip("._- ")[-_ID_CHARS // 2 :].lstrip("._- ")
    return f"{safe or 'item'}-{hashlib.sha256(below.encode()).hexdigest()[:10]}"


def _folders(source: str, options: StorageOptions | None) -> Iterator[_Folder]:
    """The folders of a place one by one, the files sorted by name."""
    try:
        with storage_errors(source):
            yield from _search(source, options)
    except FileNotFoundError as error:
        raise ManifestError(f"{shown(source)}: not found; give a folder, a glob or a picture") from error


def _search(source: str, options: StorageOptions | None) -> Iterator[_Folder]:
    fs, path = locate(source, options)
    path = path.rstrip("/") or path
    magic = _MAGIC.search(path)
    if magic and not fs.exists(path):
        root = path[: magic.start()].rpartition("/")[0]
        depth = None if "**" in path else path.removeprefix(root).count("/")
        yield from _walk(fs, root, root, re.compile(glob_translate(path)), depth)
    elif fs.info(path)["type"] == "directory":
        yield from _walk(fs, path, path, _ANYTHING, None)
    else:
        parent = _address(fs, path.rpartition("/")[0])
        yield _Folder(root=parent, uri=parent, everything=[], wanted=[_address(fs, path)])


def _walk(
    fs: fsspec.AbstractFileSystem, root: str, folder: str, wanted: re.Pattern[str], depth: int | None
) -> Iterator[_Folder]:
    """Like `fs.walk`, but what may not be read is an error, not left out."""
    listing = {info["name"].rstrip("/"): info for info in fs.ls(folder, detail=True)}
    fs.invalidate_cache(folder)  # or it would be kept, and so the whole bucket in the end
    visible = [
        one for one in sorted(listing) if one != folder and not one.rpartition("/")[2].startswith((".", "__MACOSX"))
    ]
    below = [one for one in visible if listing[one]["type"] == "directory"]
    files = [one for one in visible if listing[one]["type"] != "directory"]
    yield _Folder(
        root=_address(fs, root),
        uri=_address(fs, folder),
        everything=[_address(fs, one) for one in files],
        wanted=[_address(fs, one) for one in files if wanted.match(one)],
    )
    del listing, visible, files
    for one in below if depth is None or depth > 1 else ():
        yield from _walk(fs, root, one, wanted, None if depth is None else depth - 1)


def _address(fs: fsspec.AbstractFileSystem, path: str) -> str:
    return path if is_local(fs) else str(fs.unstrip_protocol(path))
