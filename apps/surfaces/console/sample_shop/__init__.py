"""The sample shop: «Harbour & Pine», home goods, and its invented customers.

`people` and `goods` are word lists; `generator` and `history` make `rows` from a seed, by `chance`; `loading` writes
them; `campaigns` sets up what its marketers made. Nobody in it exists; every address ends in `.example` or is one
of example.com, example.org and example.net.
"""
