"""Servers and stores around a run."""

import re

import fsspec.config
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tasks.config.lists import Secrets


class StagingSettings(BaseModel):
    """How files are put into `staging_uri`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    put_token: SecretStr | None = Field(None, description="Bearer token for a staging_uri that takes HTTP PUT.")
    keep_days: int = Field(2, ge=0, description="Staged folders older than this are removed; 0: never.")
    timeout_s: float = Field(120, gt=0, description="For putting one file.")


class CallbackSettings(BaseModel):
    """Where providers may call back; without a public URL, polling alone is used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    public_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="The https:// address under which `cleanplate callbacks` is reached from outside.",
    )
    secrets: Secrets = Field(default_factory=list, description="Runflow signing secrets; several while one is rotated.")
    modelslab_tokens: Secrets = Field(
        default_factory=list,
        description="Unguessable last parts of ModelsLab's callback address, which signs nothing: at least 20 letters and "
        "digits; several while one is rotated, the first is given out.",
    )
    host: str = Field("127.0.0.1", description="Where `cleanplate callbacks` listens.")
    port: int = Field(8766, ge=0, le=65535, description="0: any free one.")
    max_body_bytes: int = Field(1_000_000, ge=1, description="A larger callback is refused unread.")

    @field_validator("modelslab_tokens")
    @classmethod
    def _tokens_are_hard_to_guess(cls, value: list[SecretStr]) -> list[SecretStr]:
        if not all(re.fullmatch(r"[A-Za-z0-9_-]{20,200}", token.get_secret_value()) for token in value):
            raise ValueError("a token is 20 to 200 letters, digits, - and _, such as `openssl rand -hex 24` makes")
        return value

    def url_for(self, provider: str) -> str | None:
        """Where this provider is told to call back; None: it is not, because nothing there could tell a true call from a forged one."""
        if self.public_url is None:
            return None
        if provider == "runflow" and self.secrets:
            return f"{self.public_url.rstrip('/')}/runflow"
        if provider == "modelslab" and self.modelslab_tokens:
            return f"{self.public_url.rstrip('/')}/modelslab/{self.modelslab_tokens[0].get_secret_value()}"
        return None


class S3Settings(BaseModel):
    """Where S3 is, when it is not AWS. Credentials come the usual AWS ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint_url: str | None = None
    presign_expiry_s: int = Field(3600, ge=60)

    def become_default(self) -> None:
        """From now on every s3:// address in this process goes there, whoever opens it: fsspec's own configuration."""
        if self.endpoint_url is None:
            return
        # Servers other than AWS know neither the older signature nor the newer checksums.
        quirks = {
            "signature_version": "s3v4",
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        for protocol in ("s3", "s3a"):
            fsspec.config.conf[protocol] = {"endpoint_url": self.endpoint_url, "config_kwargs": quirks}
