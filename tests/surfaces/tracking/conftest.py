"""Tracking is tested from the message on: with delivery's ledger and relay."""

from tests.delivery.conftest import journals_aside, ledger, relay

__all__ = ["journals_aside", "ledger", "relay"]
