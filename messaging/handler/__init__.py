"""wellhead.messaging.handler"""
