"""wellhead.server.runtime"""
