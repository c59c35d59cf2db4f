import pytest

from wellhead.messaging.exceptions import DestinationResolutionError
from wellhead.messaging.template.destination_resolver import CachingDestinationResolver, MappingDestinationResolver

pytestmark = pytest.mark.spec("TPL-01")


def test_names_are_looked_up():
    destinations = {"a": 1}
    resolver = MappingDestinationResolver(destinations)
    assert resolver.resolve_destination("a") == 1
    destinations["b"] = 2
    assert resolver.resolve_destination("b") == 2
    with pytest.raises(DestinationResolutionError, match="'c'"):
        resolver.resolve_destination("c")


def test_results_are_remembered_for_ever_and_failures_are_not():
    destinations = {"a": 1}
    resolver = CachingDestinationResolver(MappingDestinationResolver(destinations))
    assert resolver.resolve_destination("a") == 1
    destinations["a"] = 2
    assert resolver.resolve_destination("a") == 1
    with pytest.raises(DestinationResolutionError):
        resolver.resolve_destination("b")
    destinations["b"] = 3
    assert resolver.resolve_destination("b") == 3
