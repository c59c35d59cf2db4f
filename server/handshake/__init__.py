"""wellhead.server.handshake"""
