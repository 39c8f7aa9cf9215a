"""Lists as people write them in the environment: `a,b` or `["a", "b"]`."""

import json
from typing import Annotated

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import NoDecode


def as_list(value: object) -> object:
    """Text → list; anything else is left to the type. ValueError says what was expected, and repeats nothing: it may be a secret."""
    if not isinstance(value, str):
        return value
    if not value.strip().startswith("["):
        return [part.strip() for part in value.split(",") if part.strip()]
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('no list: write it as a,b or as ["a", "b"]') from None


Texts = Annotated[list[str], NoDecode, BeforeValidator(as_list)]
Numbers = Annotated[list[int], NoDecode, BeforeValidator(as_list)]
Secrets = Annotated[list[SecretStr], NoDecode, BeforeValidator(as_list)]
