"""Provider keys from Prefect Secret blocks: the one place that reads them."""

from prefect.blocks.system import Secret
from pydantic import SecretStr

from tasks.config import ConfigurationError, Settings, load_settings


def load_secret(name: str) -> str:
    """What the block `name` holds. ConfigurationError when there is none."""
    try:
        return str(Secret.load(name).get())  # type: ignore[union-attr]  # Prefect types it as maybe awaitable
    except ValueError:
        raise ConfigurationError(
            f"there is no Prefect Secret block '{name}': make it, or set the provider's API_KEY"
        ) from None


def load_settings_with_blocks() -> Settings:
    """The settings, with the key of every provider that names a block read out of it; the others' keys stay where they are."""
    settings = load_settings()
    named = {key: getattr(settings.providers, key) for key in type(settings.providers).model_fields}
    filled = {
        key: own.model_copy(update={"api_key": SecretStr(load_secret(own.api_key_block)), "api_key_block": None})
        for key, own in named.items()
        if own.api_key_block is not None
    }
    if not filled:
        return settings
    return settings.model_copy(update={"providers": settings.providers.model_copy(update=filled)})
