"""Peers beside us, in one run: each in a throw-away environment of its own, at the same vendor, with the same rows and the same number in flight.

`environments` installs them, `drivers/` holds one small program a peer that runs in there, `driving` starts it, `gateway` stands
between them and the sandbox, `contenders` makes all of them, ours included, things that can be started, killed and asked what they
delivered, `comparing` goes through them. The other modules are the benchmarks.
"""
