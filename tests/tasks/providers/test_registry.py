import logging
from pathlib import Path

import pytest

from tasks.config import ConfigurationError, load_settings
from tasks.config.providers import ProvidersSettings
from tasks.providers.errors import ProviderOffError
from tasks.providers.keys import KeySource
from tasks.providers.registry import KEYS, make_providers
from tests.tasks.providers.factories import KEY, settings_for


def test_every_provider_of_the_settings_can_be_made_and_none_besides() -> None:
    assert set(KEYS) == set(ProvidersSettings.model_fields)


def test_an_unknown_provider_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown provider 'masker': known are runflow, maskr"):
        make_providers(["masker"], load_settings())


@pytest.mark.parametrize("key", ["runflow", "maskr", "modelslab", "onemin"])
def test_a_provider_without_a_key_names_the_variable_that_turns_it_on(key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"CLEANPLATE_PROVIDERS__{key.upper()}__API_KEY"):
        make_providers([key], load_settings())


def test_a_provider_that_is_switched_off_says_how_to_switch_it_on() -> None:
    with pytest.raises(ConfigurationError, match="CLEANPLATE_PROVIDERS__MASKR__ENABLED=true"):
        make_providers(["maskr"], settings_for("maskr", enabled=False))


def test_an_address_without_scheme_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="CLEANPLATE_PROVIDERS__MASKR__BASE_URL"):
        make_providers(["maskr"], settings_for("maskr", base_url="api.maskr.io"))


def test_a_staging_folder_that_no_vendor_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CLEANPLATE_STAGING_PUBLIC_URL"):
        make_providers(["runflow"], settings_for("runflow", settings_staging_uri=str(tmp_path)))


def test_providers_come_in_the_order_asked_for_and_once() -> None:
    settings = load_settings(providers={"maskr": {"api_key": KEY}, "onemin": {"api_key": KEY}})

    assert list(make_providers(["onemin", "maskr", "onemin"], settings)) == ["onemin", "maskr"]


@pytest.mark.parametrize("key", ["bad\nkey", "bad key", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    with pytest.raises(ConfigurationError, match="CLEANPLATE_PROVIDERS__MASKR__API_KEY") as caught:
        make_providers(["maskr"], settings_for("maskr", api_key=key))
    assert key not in str(caught.value)


def test_a_key_file_is_read_anew_at_each_use(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key\n")
    source = KeySource("maskr", settings_for("maskr", api_key_file=file).providers.maskr)
    assert source() == "first-key"

    file.write_text("second-key\n")

    assert source() == "second-key"
    assert source.secrets() == ("second-key",)


def test_a_key_file_that_vanishes_switches_the_provider_off(tmp_path: Path) -> None:
    source = KeySource("maskr", settings_for("maskr", api_key_file=tmp_path / "gone").providers.maskr)

    with pytest.raises(ProviderOffError, match="maskr"):
        source()


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"API_KEY_FILE: there is no file .*gone"):
        make_providers(["maskr"], settings_for("maskr", api_key_file=tmp_path / "gone"))


def test_a_key_can_come_from_a_secret_block_that_is_read_above() -> None:
    asked: list[str] = []

    def load_secret(name: str) -> str:
        asked.append(name)
        return KEY

    settings = settings_for("maskr", api_key=None, api_key_block="maskr-key")

    assert list(make_providers(["maskr"], settings, load_secret=load_secret)) == ["maskr"]
    assert asked == ["maskr-key"]


def test_a_secret_block_that_cannot_be_read_here_is_told() -> None:
    with pytest.raises(ConfigurationError, match="Prefect Secret block"):
        make_providers(["maskr"], settings_for("maskr", api_key_block="maskr-key"))


def test_no_representation_shows_a_key() -> None:
    settings = settings_for("maskr")
    maskr = make_providers(["maskr"], settings)["maskr"]

    shown = repr(settings) + str(settings) + repr(maskr) + repr(vars(maskr)) + settings.model_dump_json()
    assert KEY not in shown


def test_http_libraries_are_kept_from_logging_addresses() -> None:
    logging.getLogger("httpx").setLevel(logging.DEBUG)

    make_providers(["maskr"], settings_for("maskr"))

    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpcore.http11").isEnabledFor(logging.DEBUG)


def test_the_local_engine_needs_neither_key_nor_network() -> None:
    assert make_providers(["local"], load_settings())["local"].capabilities.local
