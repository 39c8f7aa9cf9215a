"""Everything about this installation that is not part of one run: keys, limits, ledger, staging, thresholds.

Read from `cleanplate.toml` (or a file named by `CLEANPLATE_CONFIG` or `--config`), each key overridable by the environment:
`CLEANPLATE_LEDGER_URL`, `CLEANPLATE_PROVIDERS__MASKR__API_KEY` and so on. Secrets live only here, as `SecretStr`.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from tasks.config.imaging import PreflightSettings, QualitySettings
from tasks.config.operations import AlertSettings, ObservabilitySettings
from tasks.config.providers import ProvidersSettings
from tasks.config.routing import RetrySettings, RoutingSettings
from tasks.config.services import CallbackSettings, S3Settings, StagingSettings


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the key, what was expected and what to do."""


class Settings(BaseSettings):
    """The installation's configuration."""

    model_config = SettingsConfigDict(env_prefix="CLEANPLATE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    ledger_url: SecretStr = Field(
        SecretStr(""), description="sqlite:///path or postgresql://…; empty: ledger.sqlite3 in the user's data folder."
    )
    ledger_durable: bool = Field(
        False, description="True: survive power loss too (fsync each commit), not only the process's death."
    )
    staging_uri: str | None = Field(
        None, description="Where local files are put for providers that read by URL, such as s3://bucket/staging."
    )
    staging_public_url: str | None = Field(
        None, description="Under which https:// address staging_uri can be read, when it is not S3."
    )
    memory_mb: int = Field(
        1000,
        ge=64,
        description="For files held by one process while their rows wait; pixels come on top, a quarter of it at most.",
    )
    allow_private_hosts: bool = Field(False, description="Accept result URLs on private or loopback addresses.")
    providers: ProvidersSettings = ProvidersSettings()
    preflight: PreflightSettings = PreflightSettings()
    quality: QualitySettings = QualitySettings()
    retry: RetrySettings = RetrySettings()
    routing: RoutingSettings = RoutingSettings()
    callbacks: CallbackSettings = CallbackSettings()
    s3: S3Settings = S3Settings()
    staging: StagingSettings = StagingSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    alerts: AlertSettings = AlertSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_path())


def _config_path() -> Path:
    return Path(os.environ.get("CLEANPLATE_CONFIG") or "cleanplate.toml")


def load_settings(**overrides: Any) -> Settings:
    """Read the configuration; `overrides` win over environment and file.

    Raises:
        ConfigurationError: the file is missing though named, is no TOML, or a key is unknown or has a wrong value.
    """
    path = _config_path()
    if os.environ.get("CLEANPLATE_CONFIG") and not path.is_file():
        raise ConfigurationError(f"configuration file not found: {path}")
    try:
        settings = Settings(**overrides)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}") from None
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None
    except SettingsError:  # its cause holds the value, which may be a key
        raise ConfigurationError("a CLEANPLATE_ variable holds no valid JSON where JSON is expected") from None
    settings.s3.become_default()
    return settings


def _explain(error: ValidationError) -> str:
    """One line a fault, never with the offending input: it may be a key."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        name = "__".join(str(part) for part in fault["loc"])
        lines.append(f"  {name} (CLEANPLATE_{name.upper()}): {fault['msg']}")
    return "the configuration cannot be used:\n" + "\n".join(lines)
