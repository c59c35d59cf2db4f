"""wellhead.messaging.template"""
