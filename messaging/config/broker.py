"""How the broker is configured (CFG-06)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..broker.broadcast import CONTROL_HEADERS
from ..broker.client_patterns import MAX_PATTERNS_PER_SESSION
from ..broker.destinations import CACHE_LIMIT
from ..broker.heartbeats import checked_heartbeat
from ..broker.subscriptions import MAX_SUBSCRIPTIONS_PER_SESSION
from ..executor import TaskScheduler
from ..matching import AntPathMatcher, PathMatcher
from .channels import ChannelRegistration
from .checks import at_least, texts

logger = logging.getLogger(__name__)


class SimpleBrokerRegistration:
    """The broker in memory."""

    def __init__(self, destination_prefixes: tuple[str, ...]) -> None:
        self.destination_prefixes = destination_prefixes
        self.heartbeat_ms: tuple[int, int] | None = None
        self.selector_header_name: str | None = None
        self.task_scheduler: TaskScheduler | None = None
        self.max_subscriptions_per_session = MAX_SUBSCRIPTIONS_PER_SESSION
        self.max_patterns_per_session = MAX_PATTERNS_PER_SESSION
        self.regex_in_patterns = False
        self.receipts = True
        self.reject_unsupported_frames = True
        self.control_headers: frozenset[str] = CONTROL_HEADERS

    def set_heartbeat_value(self, value: Sequence[int]) -> SimpleBrokerRegistration:
        """(send, receive) in milliseconds; (10000, 10000) when nothing is said, (0, 0) for none.

        Raises ValueError for anything but two numbers that are not negative.
        """
        self.heartbeat_ms = checked_heartbeat(value)
        return self

    def set_selector_header_name(self, name: str | None) -> SimpleBrokerRegistration:
        """Let subscriptions filter by a header of this name; off by default."""
        self.selector_header_name = name
        return self

    def set_task_scheduler(self, scheduler: TaskScheduler) -> SimpleBrokerRegistration:
        """Heart-beats are timed by this scheduler instead of the application's."""
        self.task_scheduler = scheduler
        return self

    def set_max_subscriptions_per_session(self, subscriptions: int) -> SimpleBrokerRegistration:
        """One more is answered by ERROR; 10,000 by default. The registry of users keeps as many of a session, counting
        those that no broker takes. Raises ValueError for a negative number.
        """
        self.max_subscriptions_per_session = at_least(0, subscriptions, "max_subscriptions_per_session")
        return self

    def set_max_patterns_per_session(self, subscriptions: int) -> SimpleBrokerRegistration:
        """Of the subscriptions of a session so many may be to patterns; one more is answered by ERROR. 1,000 by
        default. They share a budget of steps for each new destination that wildcards hardly ever need. Raises
        ValueError for a negative number.
        """
        self.max_patterns_per_session = at_least(0, subscriptions, "max_patterns_per_session")
        return self

    def set_regex_in_patterns(self, enabled: bool) -> SimpleBrokerRegistration:
        """Let clients subscribe to patterns with `{name:regex}`, as in Spring, or answer those with ERROR (the
        default): what an expression costs is decided by the client. Patterns of controllers may always have them.
        """
        self.regex_in_patterns = enabled
        return self

    def set_receipts(self, enabled: bool) -> SimpleBrokerRegistration:
        """Answer every frame that asks for a receipt (the default), or only DISCONNECT as Spring does."""
        self.receipts = enabled
        return self

    def set_reject_unsupported_frames(self, enabled: bool) -> SimpleBrokerRegistration:
        """Answer ACK, NACK and transactions with ERROR (the default), or ignore them as Spring does."""
        self.reject_unsupported_frames = enabled
        return self

    def set_control_headers(self, *names: str) -> SimpleBrokerRegistration:
        """Native headers of a sender that subscribers do not get: by default receipt, content-length, transaction, ack
        and credentials. Without any name all of them ride on the message, as they do in Spring.
        """
        self.control_headers = frozenset(texts(names, "set_control_headers"))
        return self


class MessageBrokerRegistry:
    """Collects what the application says about brokers and destinations."""

    def __init__(self) -> None:
        self.simple_broker: SimpleBrokerRegistration | None = None
        self.application_destination_prefixes: tuple[str, ...] = ()
        self.user_destination_prefix = "/user/"
        self.path_matcher: PathMatcher = AntPathMatcher()
        self.cache_limit = CACHE_LIMIT
        self.preserve_publish_order = False
        self.report_unhandled_errors = False
        self.broker_channel = ChannelRegistration("brokerChannel")

    def enable_simple_broker(
        self,
        *destination_prefixes: str,
        heartbeat_ms: tuple[int, int] | None = None,
        selector_header_name: str | None = None,
    ) -> SimpleBrokerRegistration:
        """Use the broker in memory for destinations with these prefixes; the result sets its options. Raises TypeError
        for a list of prefixes.
        """
        self.simple_broker = SimpleBrokerRegistration(texts(destination_prefixes, "enable_simple_broker"))
        if heartbeat_ms is not None:
            self.simple_broker.set_heartbeat_value(heartbeat_ms)
        return self.simple_broker.set_selector_header_name(selector_header_name)

    def set_application_destination_prefixes(self, *prefixes: str) -> MessageBrokerRegistry:
        """Destinations with these prefixes go to the controllers; none (the default): all destinations do. Raises
        TypeError for a list of prefixes.
        """
        self.application_destination_prefixes = texts(prefixes, "set_application_destination_prefixes")
        return self

    def set_user_destination_prefix(self, prefix: str) -> MessageBrokerRegistry:
        """By default ``/user/``; a trailing slash is added. Raises ValueError for an empty prefix."""
        if not prefix:
            raise ValueError("User destination prefix must not be empty")
        self.user_destination_prefix = prefix if prefix.endswith("/") else f"{prefix}/"
        return self

    def set_path_matcher(self, path_matcher: PathMatcher) -> MessageBrokerRegistry:
        """How patterns of destinations are matched, e.g. ``AntPathMatcher(".")``."""
        self.path_matcher = path_matcher
        return self

    def set_cache_limit(self, destinations: int) -> MessageBrokerRegistry:
        """Destinations whose subscriptions are kept ready; 1024 by default. Raises ValueError for a negative number."""
        self.cache_limit = at_least(0, destinations, "cache_limit")
        return self

    def set_preserve_publish_order(self, preserve: bool) -> MessageBrokerRegistry:
        """Keep the order of messages to one client even when the outbound channel has an executor; off by default."""
        self.preserve_publish_order = preserve
        return self

    def set_report_unhandled_errors(self, report: bool) -> MessageBrokerRegistry:
        """Tell a client about errors of controllers nobody handles, on ``/user/queue/errors``; off by default, as in
        Spring.
        """
        self.report_unhandled_errors = report
        return self

    def configure_broker_channel(self) -> ChannelRegistration:
        """The channel of what the application publishes; in the publisher's thread unless it gets an executor."""
        return self.broker_channel

    def warn_of_prefixes(self) -> None:
        """Say in the log which prefixes have no leading slash although the path matcher divides at slashes.

        As in Spring they are kept as they are, since clients and broker may have agreed to leave the slash out; far
        more often it was forgotten, and then no destination begins with the prefix.
        """
        if not self.path_matcher.slash_separator:
            return
        of_broker = self.simple_broker.destination_prefixes if self.simple_broker is not None else ()
        for prefix in (*of_broker, *self.application_destination_prefixes, self.user_destination_prefix):
            if prefix and not prefix.startswith("/"):
                logger.warning(
                    'The prefix "%s" has no leading slash: "/%s..." is no destination of it. If that is meant because '
                    'names are divided by dots, set_path_matcher(AntPathMatcher(".")) says so',
                    prefix,
                    prefix,
                )
