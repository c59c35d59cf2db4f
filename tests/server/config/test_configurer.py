from __future__ import annotations

import pytest

from wellhead.messaging.config.broker import MessageBrokerRegistry
from wellhead.messaging.config.channels import ChannelRegistration
from wellhead.server.config.configurer import WebSocketConfigurer, WebSocketMessageBrokerConfigurer, check_arguments
from wellhead.server.config.endpoints import StompEndpointRegistry, WebSocketHandlerRegistry
from wellhead.server.config.transport import WebSocketTransportRegistration


@pytest.mark.spec("CFG-01", "CFG-03")
def test_a_configurer_that_overrides_nothing_changes_nothing():
    configurer, things = WebSocketMessageBrokerConfigurer(), []
    endpoints, broker, transport = StompEndpointRegistry(), MessageBrokerRegistry(), WebSocketTransportRegistration()
    channel, raw = ChannelRegistration("c"), WebSocketHandlerRegistry()
    configurer.register_stomp_endpoints(endpoints)
    configurer.configure_web_socket_transport(transport)
    configurer.configure_client_inbound_channel(channel)
    configurer.configure_client_outbound_channel(channel)
    configurer.add_argument_resolvers(things)
    configurer.add_return_value_handlers(things)
    configurer.configure_message_broker(broker)
    assert configurer.configure_message_converters(things) is True
    WebSocketConfigurer().register_web_socket_handlers(raw)
    assert (endpoints.endpoints, things, raw.registrations, channel.registered_interceptors) == ([], [], [], [])
    assert broker.simple_broker is None


class Config(WebSocketMessageBrokerConfigurer):
    pass


class Both(Config):
    """A WSGI application that configures itself."""

    def __call__(self, environ, start_response):
        return ()


def application(environ, start_response):
    return ()


@pytest.mark.spec("CFG-01", "CFG-03")
@pytest.mark.parametrize(
    ("wsgi_app", "configurers"),
    [(None, ()), (None, (Config(), WebSocketConfigurer())), (application, (Config(),)), (Both(), (Config(),))],
)
def test_an_application_and_its_configurers(wsgi_app, configurers):
    check_arguments(wsgi_app, configurers)


@pytest.mark.spec("CFG-01", "CFG-03")
@pytest.mark.parametrize(
    ("wsgi_app", "configurers", "remedy"),
    [
        (None, (Config,), r"Config is a class: .* WellheadApp\(None, Config\(\)\)"),
        (None, ([Config()],), r"one by one, not in a list: WellheadApp\(None, \*configurers\)"),
        (None, (Config(), object()), r"configures nothing: .* controllers=\[\.\.\.\]"),
        (Config(), (), r"Config comes after it: WellheadApp\(None, Config\(\)\)"),
        (Both, (), r"Both comes after it: WellheadApp\(None, Both\(\)\)"),
        ([Config()], (), "is a WSGI application or None, not "),
    ],
)
def test_other_arguments_are_refused_with_the_remedy(wsgi_app, configurers, remedy):
    with pytest.raises(TypeError, match=remedy):
        check_arguments(wsgi_app, configurers)
