"""What operations people set: how to log, where to be measured, whom to alert."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class ObservabilitySettings(BaseModel):
    """Logs and metrics. Both are off the wire unless asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log_format: Literal["text", "json"] = Field(
        "text",
        description="json: one object a line, with run_id, batch_id, item_id, provider, attempt_key, request_id.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Of our own loggers.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Serve Prometheus metrics here while a run lasts; 0: any free port; none: do not.",
    )
    metrics_host: str = Field("127.0.0.1", description="0.0.0.0 lets other machines scrape.")
    metrics_file: Path | None = Field(
        None,
        description="Also write them here, for node_exporter's textfile collector: a run may end between two scrapes.",
    )


class AlertSettings(BaseModel):
    """Whom `cleanplate automations apply` has Prefect tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr | None = Field(None, description="Address that takes an HTTP POST; often a secret in itself.")
    url_file: Path | None = Field(None, description="The same, from a file.")
    style: Literal["json", "slack", "teams"] = Field(
        "json",
        description="json: the facts as one object; slack, teams: the message as those incoming webhooks want it.",
    )
    header: SecretStr | None = Field(None, description="One header to send along, such as `Authorization: Bearer …`.")

    def target(self) -> str | None:
        """The address in the clear, read anew each time; None when nobody is to be told. OSError when its file cannot be read."""
        if self.url_file is not None:
            return self.url_file.read_text(encoding="utf-8").strip() or None
        return self.url.get_secret_value() if self.url else None
