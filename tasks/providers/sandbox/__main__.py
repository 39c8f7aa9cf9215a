"""The child of `SandboxProcess`: configuration on standard input, address on standard output, ends when the input does."""

import asyncio
import logging
import sys
import threading

from tasks.providers.sandbox.bill import BillError
from tasks.providers.sandbox.config import SandboxConfig
from tasks.providers.sandbox.server import address_of, listen, serve


def main() -> None:
    """Serve until the parent closes its end, or is gone."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    config = SandboxConfig.model_validate_json(sys.stdin.readline())
    try:
        asyncio.run(_serve(config))
    except (OSError, BillError) as error:
        sys.exit(f"the sandbox cannot serve on {config.host}:{config.port}: {error}")


async def _serve(config: SandboxConfig) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    listener = listen(config)

    def wait_for_parent() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(stop.set)

    def ready() -> None:
        threading.Thread(target=wait_for_parent, daemon=True).start()
        sys.stdout.write(address_of(listener) + "\n")
        sys.stdout.flush()

    await serve(config, listener, ready=ready, stop=stop)


if __name__ == "__main__":
    main()
