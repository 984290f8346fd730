"""Other people's attention behind the signature of scaled dot-product attention, one adapter file a package.

The worker loads an adapter by its location, in an environment of `environments/`; this project never imports one. An adapter translates names
and shapes and nothing else: no masking, casting or repairing of its own, so that what is judged is the package. What a package does not support
is missing from its adapter's signature; what it does differently (layout, causal alignment, head order, dead rows) is declared in `peers.toml`.
"""
