"""Promise: no secret in anything that a run leaves behind, also when vendors fail, refuse the key and talk nonsense."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from tests.factories.mixed import VENDORS, write_mixed
from tests.rehearsals import rehearsal

KEYS = {vendor: f"sk-{vendor}-0123456789abcdef" for vendor in VENDORS}
CALLBACK_SECRET = "whsec_fedcba9876543210"
TOKEN = "token-0123456789-abcdefghij"
NONSENSE = ("status", "html", "malformed_json", "truncated_body", "drop_before", "expired_url", "not_a_picture")


def test_no_secret_is_in_any_byte_that_a_run_leaves_behind(tmp_path: Path) -> None:
    manifest = write_mixed(tmp_path / "in", each=2)
    vendors = {vendor: {"keys": {key: 10_000}, "open": False} for vendor, key in KEYS.items()}
    vendors["runflow"]["callback_secret"] = CALLBACK_SECRET
    with rehearsal(tmp_path, **vendors) as here:
        refused = "sk-onemin-which-nobody-knows"
        here.environment |= {
            "CLEANPLATE_CALLBACKS__PUBLIC_URL": "http://127.0.0.1:9",
            "CLEANPLATE_CALLBACKS__MODELSLAB_TOKENS": f'["{TOKEN}"]',
            "CLEANPLATE_PROVIDERS__ONEMIN__API_KEY": refused,
            "CLEANPLATE_OBSERVABILITY__LOG_LEVEL": "DEBUG",
        }
        here.sandbox.faults(*({"kind": kind, "share": 0.08} for kind in NONSENSE))
        config = here.config(manifest, "maskr", providers=VENDORS)
        said = here.folder / "said.log"
        with said.open("wb") as log:
            program = [sys.executable, "-c", PROGRAM, config.model_dump_json()]
            subprocess.run(program, env=here.environment, stdout=log, stderr=log, timeout=120, check=True)
        here.run(config, "--retry")
        statement = here.cleanplate("ledger", "statement", "--json") + here.cleanplate("ledger", "in-doubt", "--json")

    left = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    left |= {f"{name} (read)": _text(Path(name)) for name in list(left) if name.endswith(".parquet")}
    left["statement"] = statement.encode()
    for part in ("report.html", "results.parquet", "summary.json", "ledger.sqlite3"):
        assert any(name.endswith(part) for name in left), part
    assert said.stat().st_size > 0
    for secret in (*KEYS.values(), refused, CALLBACK_SECRET, TOKEN):
        found = [name for name, data in left.items() if secret.encode() in data]
        assert found == [], f"a secret ending in {secret[-6:]} is in {found}"


PROGRAM = """
import logging, os, sys
from tasks.config import CleanupConfig, load_settings
from tasks.observability import configure_logging
from tests.without_prefect import clean
from tasks.report.page import write_report
logging.basicConfig(level=logging.DEBUG)
configure_logging(load_settings())
config = CleanupConfig.model_validate_json(sys.argv[1])
clean(config)
write_report(f"{config.to}/run_id={config.run_id}")
logging.info("the environment's own words: %s", dict(os.environ))
"""


def _text(path: Path) -> bytes:
    """Parquet is compressed: what a reader of it sees."""
    return repr(pq.read_table(path).to_pylist()).encode()
