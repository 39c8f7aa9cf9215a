"""The local engine as a provider: `LocalProvider(settings.providers.local)`."""

from tasks.providers.local.provider import LocalProvider

__all__ = ["LocalProvider"]
