from __future__ import annotations

import pytest
from kit.scheduling import ManualTaskScheduler

from wellhead.messaging.broker.broadcast import CONTROL_HEADERS
from wellhead.messaging.config.broker import MessageBrokerRegistry, SimpleBrokerRegistration
from wellhead.messaging.config.channels import ChannelRegistration
from wellhead.messaging.matching import AntPathMatcher

pytestmark = pytest.mark.spec("CFG-06")


@pytest.fixture
def registry() -> MessageBrokerRegistry:
    return MessageBrokerRegistry()


def test_defaults(registry):
    assert registry.simple_broker is None
    assert registry.application_destination_prefixes == ()
    assert registry.user_destination_prefix == "/user/"
    assert isinstance(registry.path_matcher, AntPathMatcher)
    assert registry.path_matcher.separator == "/"
    assert registry.cache_limit == 1024
    assert registry.preserve_publish_order is False
    assert registry.report_unhandled_errors is False
    assert registry.broker_channel.registration is None
    assert registry.broker_channel.registered_executor is None
    assert registry.broker_channel.registered_interceptors == []


def test_a_registration_reads_like_a_sentence(registry):
    broker = registry.enable_simple_broker("/topic", "/queue", heartbeat_ms=(5_000, 6_000), selector_header_name="s")
    registry.set_application_destination_prefixes("/app").set_user_destination_prefix("/users").set_cache_limit(7)
    assert registry.simple_broker is broker
    assert broker.destination_prefixes == ("/topic", "/queue"), "no slash is added: /topic also means /topicality"
    assert broker.heartbeat_ms == (5_000, 6_000)
    assert broker.selector_header_name == "s"
    assert registry.application_destination_prefixes == ("/app",)
    assert registry.user_destination_prefix == "/users/"
    assert registry.cache_limit == 7


@pytest.mark.parametrize(
    ("method", "argument", "attribute", "expected"),
    [
        ("set_cache_limit", 0, "cache_limit", 0),
        ("set_preserve_publish_order", True, "preserve_publish_order", True),
        ("set_report_unhandled_errors", True, "report_unhandled_errors", True),
        ("set_user_destination_prefix", "/user", "user_destination_prefix", "/user/"),
        ("set_user_destination_prefix", "/u/", "user_destination_prefix", "/u/"),
        ("set_application_destination_prefixes", "/app", "application_destination_prefixes", ("/app",)),
    ],
)
def test_options(registry, method, argument, attribute, expected):
    assert getattr(registry, method)(argument) is registry
    assert getattr(registry, attribute) == expected


@pytest.mark.spec("DEST-04")
def test_the_matcher(registry):
    matcher = AntPathMatcher(".")
    assert registry.set_path_matcher(matcher) is registry
    assert registry.path_matcher is matcher


@pytest.mark.spec("USR-01")
def test_an_empty_user_prefix_is_refused(registry):
    with pytest.raises(ValueError, match="must not be empty"):
        registry.set_user_destination_prefix("")
    assert registry.user_destination_prefix == "/user/"


@pytest.mark.spec("CH-06")
def test_the_broker_channel(registry):
    channel = registry.configure_broker_channel()
    assert channel is registry.configure_broker_channel() is registry.broker_channel
    assert isinstance(channel, ChannelRegistration)
    assert channel.task_executor().thread_name_prefix == "brokerChannel-"


# -- the simple broker


@pytest.mark.spec("SB-04", "SB-05")
def test_defaults_of_the_simple_broker():
    broker = SimpleBrokerRegistration(())
    assert broker.heartbeat_ms is None
    assert broker.selector_header_name is None
    assert broker.task_scheduler is None
    assert broker.max_subscriptions_per_session == 10_000
    assert broker.max_patterns_per_session == 1_000
    assert broker.regex_in_patterns is False
    assert broker.receipts is True
    assert broker.reject_unsupported_frames is True
    assert broker.control_headers == CONTROL_HEADERS


@pytest.mark.parametrize(
    ("method", "argument", "attribute", "expected"),
    [
        ("set_heartbeat_value", [1, 2], "heartbeat_ms", (1, 2)),
        ("set_heartbeat_value", (0, 0), "heartbeat_ms", (0, 0)),
        ("set_selector_header_name", "selector", "selector_header_name", "selector"),
        ("set_max_subscriptions_per_session", 5, "max_subscriptions_per_session", 5),
        ("set_max_patterns_per_session", 5, "max_patterns_per_session", 5),
        ("set_regex_in_patterns", True, "regex_in_patterns", True),
        ("set_receipts", False, "receipts", False),
        ("set_reject_unsupported_frames", False, "reject_unsupported_frames", False),
        ("set_control_headers", "receipt", "control_headers", frozenset({"receipt"})),
    ],
)
def test_options_of_the_simple_broker(method, argument, attribute, expected):
    broker = SimpleBrokerRegistration(("/topic",))
    assert getattr(broker, method)(argument) is broker
    assert getattr(broker, attribute) == expected


def test_no_control_headers_are_springs():
    assert SimpleBrokerRegistration(()).set_control_headers().control_headers == frozenset()


def test_the_scheduler():
    broker, scheduler = SimpleBrokerRegistration(()), ManualTaskScheduler()
    assert broker.set_task_scheduler(scheduler) is broker
    assert broker.task_scheduler is scheduler


@pytest.mark.spec("SB-04")
@pytest.mark.parametrize("value", [(), (1,), (1, 2, 3), (-1, 1), (1, -1)])
def test_values_that_are_no_heartbeat(registry, value):
    with pytest.raises(ValueError, match="^Invalid heart-beat: "):
        registry.enable_simple_broker("/topic", heartbeat_ms=value)
    with pytest.raises(ValueError, match="^Invalid heart-beat: "):
        SimpleBrokerRegistration(()).set_heartbeat_value(list(value))


# -- mistakes


@pytest.mark.parametrize(
    "call",
    [
        lambda registry: registry.enable_simple_broker(["/topic"]),
        lambda registry: registry.set_application_destination_prefixes(["/app"]),
        lambda registry: SimpleBrokerRegistration(()).set_control_headers(["receipt"]),
    ],
    ids=["broker", "application", "control headers"],
)
def test_a_list_of_texts_is_refused_at_once(registry, call):
    with pytest.raises(TypeError, match="takes its arguments one by one, not in a list"):
        call(registry)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda registry, value: registry.set_cache_limit(value), "cache_limit"),
        (
            lambda registry, value: SimpleBrokerRegistration(()).set_max_subscriptions_per_session(value),
            "max_subscriptions_per_session",
        ),
    ],
)
def test_negative_limits_are_refused_at_once(registry, call, name):
    call(registry, 0)
    with pytest.raises(ValueError, match=f"^{name} must be 0 or more, not -1$"):
        call(registry, -1)


def warned_of(caplog) -> list[str]:
    return [record.args[0] for record in caplog.records]


@pytest.mark.spec("USR-02", "ANN-01")
def test_prefixes_without_leading_slash_are_kept_and_told_in_the_log(registry, caplog):
    registry.enable_simple_broker("/topic", "queue")
    registry.set_application_destination_prefixes("app", "/more").set_user_destination_prefix("user")
    registry.warn_of_prefixes()
    assert warned_of(caplog) == ["queue", "app", "user/"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert 'The prefix "queue" has no leading slash: "/queue..." is no destination of it. ' in caplog.text
    assert registry.application_destination_prefixes == ("app", "/more"), "as in Spring"


@pytest.mark.parametrize("separator", ["/", "."])
def test_prefixes_with_leading_slash_are_right_with_any_separator(registry, caplog, separator):
    registry.set_path_matcher(AntPathMatcher(separator)).enable_simple_broker("/topic")
    registry.set_application_destination_prefixes("/app", "").warn_of_prefixes()
    assert warned_of(caplog) == []


def test_with_dots_between_names_nobody_misses_the_slash(registry, caplog):
    registry.set_path_matcher(AntPathMatcher(".")).enable_simple_broker("topic.", "queue.")
    registry.set_application_destination_prefixes("app").warn_of_prefixes()
    assert warned_of(caplog) == []
