"""The header of HAProxy's PROXY protocol, in whose name a connection stands."""
import socket
import struct

SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'


def v1(client, port=50000):
    family, own = ('TCP6', '2001:db8::9') if ':' in client else ('TCP4', '192.0.2.9')
    return f'PROXY {family} {client} {own} {port} 2855\r\n'.encode()


def v2(client, port=50000, command=1):
    """command: 0 is LOCAL, 1 is PROXY."""
    family, kind, own = (socket.AF_INET6, 0x21, '2001:db8::9') if ':' in client else \
        (socket.AF_INET, 0x11, '192.0.2.9')
    ends = socket.inet_pton(family, client) + socket.inet_pton(family, own) \
        + struct.pack('!HH', port, 2855)
    return SIGNATURE + struct.pack('!BBH', 0x20 | command, kind, len(ends)) + ends
