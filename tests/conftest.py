"""What every test shares: no telemetry, no settings of this machine."""

import os

os.environ.update(DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false")
for _name in [name for name in os.environ if name.startswith("CLEANPLATE_")]:
    del os.environ[_name]
