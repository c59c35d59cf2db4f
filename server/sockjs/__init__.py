"""wellhead.server.sockjs"""
