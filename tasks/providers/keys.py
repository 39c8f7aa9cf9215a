"""API keys: from the environment, the configuration file, a file of their own, or a Prefect Secret block."""

from collections.abc import Callable

from tasks.config import ConfigurationError
from tasks.config.providers import ProviderSettings
from tasks.providers.errors import ProviderOffError

LoadSecret = Callable[[str], str]
"""Name of a Prefect Secret block → the key that it holds. Given from above: nothing here knows Prefect."""


class KeySource:
    """The API key in the clear, read anew at each use, so that a rotated key file needs no restart; its repr holds none."""

    def __init__(self, name: str, settings: ProviderSettings, from_block: str | None = None) -> None:
        """`from_block`: the key as a Prefect Secret block held it, when one is configured."""
        self._name = name
        self._settings = settings
        self._from_block = from_block

    def __call__(self) -> str:
        """The key. ProviderOffError when there is none (any more), or no header can carry it."""
        key = self._read()
        if not key:
            raise ProviderOffError(f"{self._name}: there is no API key, or its file cannot be read any more")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ProviderOffError(
                f"{self._name}: the API key holds characters that no key has: a line break, a space, a letter beyond ASCII"
            )
        return key

    def secrets(self) -> tuple[str, ...]:
        """What must be taken out of texts."""
        key = self._read()
        return (key,) if key else ()

    def _read(self) -> str:
        try:
            return (self._from_block or self._settings.key() or "").strip()
        except (OSError, ValueError):
            return ""


def key_source(name: str, settings: ProviderSettings, load_secret: LoadSecret | None) -> KeySource:
    """The source of one provider's key, seen to give one.

    Raises:
        ConfigurationError: it gives none; the message names the variable to set.
    """
    variable = f"CLEANPLATE_PROVIDERS__{name.upper()}__API_KEY"
    if settings.api_key_file is not None and not settings.api_key_file.is_file():
        raise ConfigurationError(f"{variable}_FILE: there is no file {settings.api_key_file}")
    from_block = None
    if settings.api_key_block is not None:
        if load_secret is None:
            raise ConfigurationError(
                f"{variable}_BLOCK names a Prefect Secret block, and none can be read here: set {variable}"
            )
        from_block = load_secret(settings.api_key_block)
    source = KeySource(name, settings, from_block)
    if not source.secrets():
        raise ConfigurationError(f"provider {name} is off, for want of a key: set {variable}")
    wrong = ""
    try:
        source()
    except ProviderOffError as error:
        wrong = error.message
    if wrong:
        raise ConfigurationError(f"{wrong} ({variable})")
    return source
