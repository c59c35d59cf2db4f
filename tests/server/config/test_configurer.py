from __future__ import annotations

import pytest

from wellhead.messaging.config.broker import MessageBrokerRegistry
from wellhead.messaging.config.channels import ChannelRegistration
from wellhead.server.config.configurer import WebSocketConfigurer, WebSocketMessageBrokerConfigurer
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
