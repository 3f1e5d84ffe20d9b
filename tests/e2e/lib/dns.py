"""A small DNS server (RFC 1035) with the records of a test: A and SRV, over UDP."""
import socket
import struct
import threading

A, SRV = 1, 33
INTERNET = 1
NAME_ERROR = 3


def _name(text):
    return b''.join(bytes([len(label)]) + label.encode()
                    for label in text.rstrip('.').split('.') if label) + b'\0'


def _read_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return '.'.join(labels).lower(), at + 1


class DnsServer:
    def __init__(self, host='127.0.0.1'):
        self.records = {}           # (name, type): [data]
        self.asked = []             # (name, type)
        self.silent = set()         # types that get no answer
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.address = '%s:%d' % self.sock.getsockname()
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def host(self, name, address='127.0.0.1'):
        self.records.setdefault((name, A), []).append(socket.inet_aton(address))

    def service(self, name, host, port, priority=0, weight=0):
        """One server of the service, and its address."""
        self.records.setdefault((name, SRV), []).append(
            struct.pack('!HHH', priority, weight, port) + _name(host))
        if (host, A) not in self.records and host != '.':
            self.host(host)

    def _loop(self):
        while True:
            data, peer = self.sock.recvfrom(4096)
            if not data:
                return
            answer = self._answer(data)
            if self.asked[-1][1] not in self.silent:
                self.sock.sendto(answer, peer)

    def _answer(self, query):
        name, end = _read_name(query, 12)
        kind, _ = struct.unpack('!HH', query[end:end + 4])
        self.asked.append((name, kind))
        found = self.records.get((name, kind), [])
        known = any(key[0] == name for key in self.records)
        head = query[:2] + struct.pack('!HHHHH', 0x8580 | (0 if known else NAME_ERROR), 1,
                                       len(found), 0, 0)
        return head + query[12:end + 4] + b''.join(
            b'\xc0\x0c' + struct.pack('!HHIH', kind, INTERNET, 60, len(record)) + record
            for record in found)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b'', self.sock.getsockname())
        self.thread.join(5)
        self.sock.close()
