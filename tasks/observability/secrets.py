"""Every secret that this installation knows of: what must never be seen in a log."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from tasks.config import Settings

_SECRET_FILES = ("api_key_file", "url_file")


class KnownSecrets:
    """The secrets in the clear, those of rotated key files included: old ones stay hidden, new ones are hidden at once."""

    def __init__(self, settings: Settings) -> None:
        """Found by their type, so that a new `SecretStr` setting is hidden without a word here."""
        self._fixed = tuple(dict.fromkeys(_written_out(_secret_strings(settings))))
        self._files = tuple(_secret_files(settings))
        self._versions: dict[Path, tuple[int, int]] = {}
        self._from_files: dict[str, None] = {}

    def __call__(self) -> tuple[str, ...]:
        """All of them; a file is read again only when it has changed."""
        for path in self._files:
            self._look(path)
        return (*self._fixed, *self._from_files)

    def _look(self, path: Path) -> None:
        try:
            facts = path.stat()
            version = (facts.st_mtime_ns, facts.st_size)
            if self._versions.get(path) != version:
                self._from_files[path.read_text(encoding="utf-8").strip()] = None
                self._versions[path] = version
        except (OSError, ValueError):
            return  # unreadable now: nobody can leak what nobody can read


def _secret_strings(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secret_strings(getattr(value, name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from _secret_strings(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _secret_strings(one)


def _secret_files(value: object) -> Iterator[Path]:
    if not isinstance(value, BaseModel):
        return
    for name in type(value).model_fields:
        child = getattr(value, name)
        if name in _SECRET_FILES and isinstance(child, Path):
            yield child
        yield from _secret_files(child)


def _written_out(secrets: Iterator[str]) -> Iterator[str]:
    """A database's address is a secret for its password alone, and drivers quote that alone."""
    for secret in secrets:
        password = None
        if "://" in secret:
            try:
                password = urlsplit(secret).password
            except ValueError:
                password = None
        if password:
            yield password
            yield unquote(password)
        if secret and not secret.startswith("sqlite:"):
            yield secret
