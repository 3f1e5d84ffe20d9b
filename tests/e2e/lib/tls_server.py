"""Whom msrpd calls by SIP over TLS."""
import socket
import threading


class TlsServer:
    """Takes TLS for a user agent."""

    def __init__(self, ua, context):
        self.ua, self.context = ua, context
        self.refused = threading.Event()        # by whom we have shown our certificate to
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            try:
                sock = self.context.wrap_socket(sock, server_side=True)
                self.ua.adopt(sock, 'TLS')
            except OSError:             # or gone when it was over
                self.refused.set()
                sock.close()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(5)
