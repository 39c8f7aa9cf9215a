"""Which providers there are, and how each is put together: the one place that knows them all."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks.config import ConfigurationError, Settings
from tasks.config.providers import ProviderSettings
from tasks.providers.adapter import Kit
from tasks.providers.addresses import AddressGuard
from tasks.providers.base import Provider
from tasks.providers.download import Downloader
from tasks.providers.guarded import GuardedClient
from tasks.providers.keys import KeySource, LoadSecret, key_source
from tasks.providers.maskr import MaskrProvider
from tasks.providers.modelslab import ModelsLabProvider
from tasks.providers.network import Network
from tasks.providers.onemin import OneMinProvider
from tasks.providers.redact import Redactor, quiet_http_logs
from tasks.providers.runflow import RunflowProvider
from tasks.providers.staging import Buckets, Stage
from tasks.providers.statuses import Interpreter
from tasks.providers.transport import PictureTransport
from tasks.providers.wire import Wire


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How one vendor's adapter is made: its class, and the headers that carry its key."""

    adapter: Callable[[Kit[Any]], Provider]
    headers: Callable[[str, Any], Mapping[str, str]]


def _bearer(key: str, _settings: ProviderSettings) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _runflow(key: str, settings: Any) -> Mapping[str, str]:
    organization = {"X-Organization-Id": settings.organization_id} if settings.organization_id else {}
    return {"Authorization": f"Bearer {key}", **organization}


REGISTRY: Final[dict[str, Entry]] = {
    "runflow": Entry(adapter=RunflowProvider, headers=_runflow),
    "maskr": Entry(adapter=MaskrProvider, headers=_bearer),
    "modelslab": Entry(adapter=ModelsLabProvider, headers=lambda _key, _settings: {}),  # the key goes in the body
    "onemin": Entry(adapter=OneMinProvider, headers=lambda key, _settings: {"API-KEY": key}),
}
"""Every vendor reached over HTTP. `local` is made apart: it has neither key nor wire."""

KEYS: Final = (*REGISTRY, "local")


def make_providers(
    keys: Iterable[str],
    settings: Settings,
    *,
    load_secret: LoadSecret | None = None,
    network: Network | None = None,
) -> dict[str, Provider]:
    """The providers asked for, in that order, ready to use; each holds connections until `aclose`.

    Args:
        keys: such as ("maskr", "local").
        settings: the installation's.
        load_secret: how to read a Prefect Secret block, where `api_key_block` names one.
        network: stands in for the outside world in tests.

    Raises:
        ConfigurationError: a provider is unknown, switched off or has no key; the message names the variable to set.
    """
    quiet_http_logs()
    return {key: _make(key, settings, load_secret, network or Network()) for key in dict.fromkeys(keys)}


def _make(key: str, settings: Settings, load_secret: LoadSecret | None, network: Network) -> Provider:
    if key not in KEYS:
        raise ConfigurationError(f"unknown provider '{key}': known are {', '.join(KEYS)}")
    own = settings.providers.of(key)
    if not own.enabled:
        raise ConfigurationError(
            f"provider {key} is switched off: set CLEANPLATE_PROVIDERS__{key.upper()}__ENABLED=true"
        )
    if key == "local":
        from tasks.providers.local import LocalProvider  # noqa: PLC0415 - OpenCV and PatchMatch load only where they are used

        return LocalProvider(settings.providers.local)
    entry = REGISTRY[key]
    return entry.adapter(_kit(key, entry, settings, own, key_source(key, own, load_secret), network))


def _kit(
    key: str,
    entry: Entry,
    settings: Settings,
    own: ProviderSettings,
    source: KeySource,
    network: Network,
) -> Kit[Any]:
    if not own.base_url.startswith(("https://", "http://")):
        raise ConfigurationError(f"CLEANPLATE_PROVIDERS__{key.upper()}__BASE_URL must start with https://")
    redact = Redactor(lambda: (*source.secrets(), *_other_secrets(settings)))
    interpreter = Interpreter(name=key, settings=own, redact=redact)
    guard = AddressGuard(allow_private=settings.allow_private_hosts, resolve=network.resolve)
    return Kit(
        settings=own,
        key=source,
        interpreter=interpreter,
        wire=Wire(
            interpreter=interpreter, settings=own, authorize=lambda: entry.headers(source(), own), network=network
        ),
        pictures=PictureTransport(guard=guard, buckets=Buckets(settings.s3), stage=_stage(settings, network)),
        downloads=Downloader(
            name=key,
            redact=redact,
            client=GuardedClient(
                guard=guard, network=network, timeout_s=own.download_timeout_s, max_bytes=own.max_output_bytes
            ),
        ),
    )


def _stage(settings: Settings, network: Network) -> Stage | None:
    if settings.staging_uri is None:
        return None
    readable = settings.staging_uri.startswith(("s3://", "https://", "http://")) or settings.staging_public_url
    if not readable:
        raise ConfigurationError(
            f"vendors cannot read {settings.staging_uri}: set CLEANPLATE_STAGING_PUBLIC_URL to the https:// address of that folder"
        )
    return Stage(
        settings.staging_uri,
        public_url=settings.staging_public_url,
        settings=settings.staging,
        s3=settings.s3,
        network=network,
    )


def _other_secrets(settings: Settings) -> list[str]:
    token, callbacks = settings.staging.put_token, settings.callbacks
    held = (*callbacks.secrets, *callbacks.modelslab_tokens, *([token] if token else []))
    return [secret.get_secret_value() for secret in held]
