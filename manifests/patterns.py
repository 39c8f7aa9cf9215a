"""Addresses by pattern: `{stem}_mask.png` beside a picture, `../masks/{stem}.png`, `s3://masks/{folder}/{stem}.png`."""

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Final

from manifests.errors import ManifestError

PICTURE_FIELDS: Final = {
    "stem": "[^/]+",  # file name without suffix
    "name": "[^/]+",  # file name
    "ext": "[^/.]+",  # suffix without its dot
    "parent": ".+",  # address of the folder
    "folder": ".*",  # the folder below the place that was searched; may be empty
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """The address of a picture, taken apart."""

    uri: str
    root: str  # the address of the place that was searched

    @property
    def parent(self) -> str:
        """Address of the folder."""
        return self.uri.rpartition("/")[0]

    @property
    def name(self) -> str:
        """File name."""
        return self.uri.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def folder(self) -> str:
        """The folder below the place that was searched."""
        return self.parent.removeprefix(self.root.rstrip("/")).strip("/")

    def fields(self) -> dict[str, str]:
        """What a pattern may name."""
        ext = posixpath.splitext(self.name)[1].lstrip(".")
        return {"stem": self.stem, "name": self.name, "ext": ext, "parent": self.parent, "folder": self.folder}


def expand(template: str, fields: Mapping[str, str]) -> str:
    """Put the fields' values in their places. The template must have passed `require_fields`."""
    return "".join(text + (fields[name] if name else "") for text, name, _, _ in Formatter().parse(template))


def fields_named(template: str) -> frozenset[str]:
    """The fields that a template names."""
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


def require_fields(template: str, known: Collection[str], where: str) -> None:
    """ManifestError when a template names a field that there is none of, or is malformed."""
    try:
        named = [
            (name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template) if name is not None
        ]
    except ValueError as error:
        raise ManifestError(f"{where} '{template}': {error}; a field is written {{name}}") from None
    for name, spec, conversion in named:
        if name not in known or spec or conversion:
            raise ManifestError(
                f"{where} '{template}': there is no {{{name}}}; known are {', '.join(f'{{{one}}}' for one in known)}"
            )


class PicturePattern:
    """The address that belongs to a picture: beside it when the pattern names no folder, else relative to the picture's folder, or absolute."""

    def __init__(self, template: str, where: str) -> None:
        require_fields(template, PICTURE_FIELDS, where)
        self._absolute = "://" in template or template.startswith(("/", "{parent}"))
        self._template = template if self._absolute else f"{{parent}}/{template}"
        self.is_beside = "/" not in template
        self.is_constant = self._absolute and "{" not in template
        tail = re.sub(r"^(\.\.?/)+", "", template)
        self._shape = re.compile(_shape(tail if self._absolute else f"{{parent}}/{tail}"))

    def address(self, picture: Picture) -> str:
        """Where the companion of a picture should lie."""
        return _without_dots(expand(self._template, picture.fields()))

    def fits(self, uri: str) -> bool:
        """True when a file could be somebody's companion, by its address."""
        return self._shape.fullmatch(uri) is not None


def _shape(template: str) -> str:
    parsed = Formatter().parse(template)
    return "".join(re.escape(text) + (PICTURE_FIELDS[name] if name else "") for text, name, _, _ in parsed)


def _without_dots(uri: str) -> str:
    scheme, separator, path = uri.rpartition("://")
    return f"{scheme}{separator}{posixpath.normpath(path)}" if "/." in path or "//" in path else uri
