"""Pictures for download, at signed addresses that expire."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from tasks.providers.sandbox.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """One file as it will be served. `names` are those of its item, for faults that match."""

    data: bytes
    media_type: str
    names: tuple[str, ...] = ()
    owner: str = ""  # account id


class Shelf:
    """Files by path, within a bound of bytes; the oldest go first."""

    def __init__(self, *, kept_bytes: int, clock: Clock) -> None:
        self._kept_bytes = kept_bytes
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._files: OrderedDict[str, StoredFile] = OrderedDict()
        self._bytes = 0

    def put(self, path: str, file: StoredFile) -> None:
        """Keep a file under its path, which begins with a slash."""
        self.drop(path)
        self._files[path] = file
        self._bytes += len(file.data)
        while self._bytes > self._kept_bytes and len(self._files) > 1:
            self.drop(next(iter(self._files)))

    def get(self, path: str) -> StoredFile | None:
        """The file, if it is still kept."""
        return self._files.get(path)

    def drop(self, path: str) -> None:
        """Forget a file, if it is there."""
        gone = self._files.pop(path, None)
        self._bytes -= len(gone.data) if gone else 0

    def sign(self, base_url: str, path: str, *, ttl_s: float, purpose: str = "GET") -> str:
        """An address under which the file can be had until `ttl_s` seconds from now; a negative one has expired."""
        expires = int(self._clock.now().timestamp() + ttl_s)
        query = urlencode({"expires": expires, "sig": self._signature(path, str(expires), purpose)})
        return f"{base_url}{quote(path)}?{query}"

    def admits(self, path: str, expires: str | None, signature: str | None, *, purpose: str = "GET") -> bool:
        """Whether the address was signed here for this, and has not expired."""
        if not expires or not signature or not expires.isdecimal():
            return False
        genuine = hmac.compare_digest(self._signature(path, expires, purpose).encode(), signature.encode())
        return genuine and int(expires) > self._clock.now().timestamp()

    def _signature(self, path: str, expires: str, purpose: str) -> str:
        message = f"{purpose}\n{path}\n{expires}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
