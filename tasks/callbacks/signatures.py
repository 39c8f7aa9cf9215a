"""Telling true callbacks from forged ones, in a time that says nothing about the secret."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

_PREFIX: Final = "whsec_"


def is_signed(body: bytes, signature: str, secrets: Sequence[str]) -> bool:
    """Whether `signature` is HMAC-SHA256 of the raw body under one of the secrets, 64 hex digits (docs.runflow.io, verify-callback-signatures).

    The documents leave open whether the prefix `whsec_` belongs to the key, so both readings are tried. Every secret is, whichever fits.
    """
    given = signature.strip().lower().encode("ascii", "replace")
    keys = {key for secret in secrets for key in (secret, secret.removeprefix(_PREFIX)) if key}
    fits = [
        hmac.compare_digest(hmac.new(key.encode(), body, hashlib.sha256).hexdigest().encode(), given) for key in keys
    ]
    return any(fits)


def is_token(given: str, tokens: Sequence[str]) -> bool:
    """Whether `given` is one of the tokens."""
    return any([hmac.compare_digest(token.encode(), given.encode("utf-8", "replace")) for token in tokens])  # noqa: C419 - all are compared, or the time would tell which
