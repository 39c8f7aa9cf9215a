"""Which addresses may be asked for a file: public ones, unless the installation says otherwise.

A vendor's answer names the address of the result. Followed blindly, it could point at this machine or at a cloud's metadata service, so
the name is resolved here, every address it has is looked at, and the connection goes to the very address that was looked at.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → IP addresses. OSError when there are none."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
_RESOLVE_TIMEOUT_S: Final = 10
_MOST_ADDRESSES: Final = 4  # of a host, tried in the resolver's order: the first may have no route from here


class AddressRefusedError(Exception):
    """The address must not be asked; the text says why, and holds nothing signed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where to connect: `urls` with the host replaced by each checked address, and the host's name for `Host` and TLS."""

    urls: tuple[httpx.URL, ...]
    host_header: str
    server_name: str


async def system_resolve(host: str, port: int) -> list[str]:
    """The system's resolver."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def is_public(address: str) -> bool:
    """Whether an IP address is of the public internet, also when it hides inside an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


class AddressGuard:
    """Turns an address out of a vendor's answer into one that may be connected to."""

    def __init__(self, *, allow_private: bool, resolve: Resolve = system_resolve) -> None:
        """`allow_private`: loopback, private networks and plain http are fine too."""
        self.allow_private = allow_private
        self._resolve = resolve

    async def target(self, url: httpx.URL) -> Target:
        """The checked place to connect to.

        Raises:
            AddressRefusedError: no https, no host, credentials in it, or a host that is not public.
            OSError: the host does not resolve.
        """
        schemes = ("https", "http") if self.allow_private else ("https",)
        if url.scheme not in schemes or not url.host or url.userinfo:
            raise AddressRefusedError(f"{url.scheme or 'an address without scheme'}://{url.host} is not https")
        plain = Target(urls=(url,), host_header=url.netloc.decode("ascii"), server_name=url.host)
        if self.allow_private:
            return plain
        if _is_literal(url.host):
            self._check(url.host, [url.host])
            return plain
        if {url.scheme, "all"} & set(getproxies()) and not proxy_bypass(url.host):
            return plain  # the proxy resolves, and decides which networks it reaches
        addresses = await self._resolve(url.host, url.port or 443)
        self._check(url.host, addresses)
        pinned = tuple(url.copy_with(host=address) for address in dict.fromkeys(addresses[:_MOST_ADDRESSES]))
        return replace(plain, urls=pinned)

    async def is_public_url(self, text: str) -> bool:
        """Whether a vendor out there can be expected to read this address."""
        try:
            await self.target(httpx.URL(text))
        except (AddressRefusedError, OSError, httpx.InvalidURL):
            return False
        return True

    def _check(self, host: str, addresses: list[str]) -> None:
        if not addresses or not all(is_public(address) for address in addresses):
            raise AddressRefusedError(
                f"{host} is not an address of the public internet (CLEANPLATE_ALLOW_PRIVATE_HOSTS=true allows it)"
            )


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
