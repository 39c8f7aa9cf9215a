"""Each provider: is there a key, can it be reached, does it take the key, and would a budget hold it?"""

from typing import Final

from manifests import Operation
from tasks.config import ConfigurationError, Settings
from tasks.config.providers import LocalSettings, ProviderSettings
from tasks.doctor.checks import Check
from tasks.doctor.world import UnreachableError, World
from tasks.providers.base import Balance, Provider
from tasks.providers.errors import OutOfCreditError, ProviderError, ProviderOffError
from tasks.providers.keys import LoadSecret
from tasks.providers.registry import REGISTRY, make_providers

KEYS: Final = (*REGISTRY, "local")


async def check_provider(key: str, settings: Settings, world: World, load_secret: LoadSecret | None) -> list[Check]:
    """The findings about one provider. Nothing that costs is asked."""
    name, own, variable = f"provider {key}", settings.providers.of(key), f"CLEANPLATE_PROVIDERS__{key.upper()}__"
    if isinstance(own, LocalSettings):
        return _local(name, own, variable)
    if not own.enabled:
        return [Check.ok(name, f"switched off ({variable}ENABLED=false)")]
    if own.api_key is None and own.api_key_file is None and own.api_key_block is None:
        return [Check.ok(name, f"off: {variable}API_KEY is not set")]
    try:
        # staging is a check of its own: without it here, its faults are not told once for each provider
        alone = settings.model_copy(update={"staging_uri": None})
        [provider] = make_providers([key], alone, load_secret=load_secret, network=world.network).values()
    except ConfigurationError as error:
        return [
            Check.fail(
                name, str(error), f"Put the key there, or take {variable}API_KEY… away to leave the provider off."
            )
        ]
    try:
        return [await _answers(name, own, provider, variable, world), *_settings(name, own, variable)]
    finally:
        await provider.aclose()


async def _answers(name: str, own: ProviderSettings, provider: Provider, variable: str, world: World) -> Check:
    try:
        await world.get(own.base_url)
    except UnreachableError as error:
        return Check.fail(name, str(error), f"{error.to_do} Its address is {variable}BASE_URL.")
    try:
        balance = await provider.balance()
    except ProviderOffError as error:
        return Check.fail(
            name, error.message, f"Put a valid key into {variable}API_KEY, or the file or block that you use."
        )
    except OutOfCreditError as error:
        return Check.warn(name, error.message, "Top up: until then its rows go elsewhere or are deferred.")
    except ProviderError as error:
        return Check.warn(name, f"reachable, but its balance could not be read: {error.message}", "Try again later.")
    return _of_balance(name, balance)


def _of_balance(name: str, balance: Balance | None) -> Check:
    if balance is None:
        return Check.ok(
            name, "reachable; whether it takes the key shows with the first edit (it does not tell balances)"
        )
    left = balance.credits if balance.credits is not None else balance.usd
    unit = "credits" if balance.credits is not None else "USD"
    if left is not None and left <= 0:
        return Check.warn(
            name, f"takes the key, and the account is empty ({left} {unit})", "Top up, then `cleanplate ledger top-up`."
        )
    return Check.ok(name, f"takes the key; {left} {unit} left")


def _settings(name: str, own: ProviderSettings, variable: str) -> list[Check]:
    found = []
    if not any(own.cost_usd(operation) for operation in Operation):
        to_do = f"Set {variable}USD_PER_IMAGE, or CREDITS_PER_IMAGE and USD_PER_CREDIT, as your contract has them."
        found.append(Check.warn(f"{name} price", "no price is set: no budget in dollars can hold it", to_do))
    if own.api_key is not None and own.api_key_file is not None:
        to_do = f"Take {variable}API_KEY away."
        found.append(Check.warn(f"{name} key", "two keys are set; the file's is used", to_do))
    if own.base_url.startswith("http://") and not _is_loopback(own.base_url):
        to_do = f"Use https:// in {variable}BASE_URL."
        found.append(Check.warn(f"{name} address", "the key travels unencrypted over http://", to_do))
    return found


def _is_loopback(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return host.startswith(("127.", "localhost", "[::1]"))


def _local(name: str, own: LocalSettings, variable: str) -> list[Check]:
    if own.engine == "lama-onnx" and (own.lama_model is None or not own.lama_model.is_file()):
        what = "the engine lama-onnx needs a model file" + (
            f"; there is none at {own.lama_model}" if own.lama_model else ""
        )
        return [Check.fail(name, what, f"Set {variable}LAMA_MODEL to your ONNX file, or {variable}ENGINE=patchmatch.")]
    return [Check.ok(name, f"in this process, engine {own.engine}: no key, no cost")]
