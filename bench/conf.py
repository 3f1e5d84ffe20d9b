#!/usr/bin/env python3
"""What a chat room costs: one speaks, the others hear; two daemons that talk over loopback.

    bench/conf.py [PARTICIPANTS ...]      (default: 10 100 1000)

$MSRPD names the program (default build/release/msrpd).  Prints "name value unit".
"""
import statistics
import sys
import time

from ua import CONFIG, Daemon, show

ROOM = 'sip:lobby@127.0.0.1'
SIZES = (100, 16384)
COPIES = 100000                 # of one run
RUNS = 5
ROOMS = CONFIG + """
    - if: {{$rm: MESSAGE}}
      do: [{{msg_to_conf: {{room: $ru}}}}]
conference:
  rooms: [{{uri: "sip:lobby@127.0.0.1"}}]
  max_participants: 5000
  history: 0
"""


def room_config():
    return ROOMS.replace('msrp_ua_answer: {{content_types: "text/plain"}}',
                         f'msrp_conf_join: {{{{room: "{ROOM}"}}}}')


def join(crowd, room, number):
    return crowd.control.call('msrp_ua_start_session', content_types='message/cpim',
                              from_uri=f'sip:user{number}@127.0.0.1', to_uri=ROOM,
                              ruri=room.sip)['session_id']


def heard(crowd):
    return crowd.control.call('get_statistics', group='msrp')['msrp:messages_in']


def run(crowd, room, speaker, body, count, participants):
    """Say so much; the CPU of the room, and how long it took until all was heard."""
    before, cpu, began = heard(crowd), room.cpu_ns(), time.monotonic()
    for _ in range(count):
        crowd.control.call('msrp_ua_send_message', session_id=speaker, mime='message/cpim',
                           body=body)
    while heard(crowd) - before < count * (participants - 1):
        time.sleep(0.001)
    return room.cpu_ns() - cpu, time.monotonic() - began


def measure(participants):
    crowd, room = Daemon('crowd'), Daemon('room', config=room_config())
    room.events.call('event_subscribe', names=['E_MSRP_CONF_JOIN'])
    sessions = []
    for number in range(participants):
        sessions.append(join(crowd, room, number))
        room.events.wait('E_MSRP_CONF_JOIN')
    for size in SIZES:
        body = (f'From: <sip:user0@127.0.0.1>\r\nTo: <{ROOM}>\r\n\r\n'
                'Content-Type: text/plain\r\n\r\n' + 'x' * size)
        count = max(1, min(COPIES // participants, (64 << 20) // size // participants))
        runs = [run(crowd, room, sessions[0], body, count, participants) for _ in range(RUNS)]
        copies = count * (participants - 1)
        name = f'conf_{participants}_{size}B'
        show(name, statistics.median(cpu / copies / 1000 for cpu, _ in runs), 'us/copy')
        show(name + '_rate', statistics.median(copies / t for _, t in runs), 'copies/s')
    show(f'conf_{participants}_rss', room.rss_kib() / 1024, 'MiB')
    crowd.stop()
    room.stop()


def main():
    for participants in sys.argv[1:] or ['10', '100', '1000']:
        measure(int(participants))


if __name__ == '__main__':
    main()
