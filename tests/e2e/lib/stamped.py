"""Sockets of which the kernel says when what is read has come: how long it waited is not in it."""
import socket
import ssl
import struct

OPTION = getattr(socket, 'SO_TIMESTAMPNS', 35)     # Linux; Python does not name it


class Stamped:
    """A socket; came: nanoseconds, when the last bytes did."""

    def __init__(self, sock):
        self.sock = sock
        self.came = None
        sock.setsockopt(socket.SOL_SOCKET, OPTION, 1)

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def recv(self, size):
        data, notes, _, _ = self.sock.recvmsg(size, socket.CMSG_SPACE(16))
        for level, kind, value in notes:
            if (level, kind) == (socket.SOL_SOCKET, OPTION):
                seconds, nanoseconds = struct.unpack('qq', value)
                self.came = seconds * 10 ** 9 + nanoseconds
        return data


class Tls:
    """TLS over one of those: ssl.SSLSocket reads its socket itself, and no stamps."""

    def __init__(self, sock, context, server_hostname):
        self.sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=server_hostname)
        self._until_done(self._tls.do_handshake)

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def _until_done(self, function, *args):
        while True:
            try:
                result = function(*args)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(1 << 16)
                if not data:
                    raise EOFError('closed') from None
                self._in.write(data)

    def _flush(self):
        if data := self._out.read():
            self.sock.sendall(data)

    def sendall(self, data):
        self._tls.write(data)
        self._flush()

    def recv(self, size):
        return self._until_done(self._tls.read, size)
