"""wellhead.messaging.converter"""
