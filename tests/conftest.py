"""What every test shares: no telemetry, no settings of this machine."""

import os
import sys

os.environ.update(DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled files halve the start of every process that a test starts
sys.dont_write_bytecode = False
for _name in [name for name in os.environ if name.startswith("CLEANPLATE_")]:
    del os.environ[_name]
