"""Fixtures of the conversation's tests."""

import pytest

from tests.unit.egress.conversation.driver import Stage


@pytest.fixture
def stage() -> Stage:
    """A person with a microphone and an avatar, and no greeting."""
    return Stage().seat()
