"""nginx and HAProxy, as they stand in front of the web port."""
import os
import socket

from .program import Program
from .waiting import poll

# What there is around a site, or around a frontend and its backend, in a directory of its own.
AROUND = {'nginx': '''daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{text}
}}
''', 'haproxy': '''global
    maxconn 64
defaults
    timeout connect 10s
    timeout client 1h
    timeout server 1h
{text}
'''}
ARGUMENTS = {'nginx': ['-c'], 'haproxy': ['-db', '-f']}


def answers(port):
    try:
        socket.create_connection(('127.0.0.1', port), 5).close()
    except OSError:
        return False
    return True


def start(name, text, port, directory):
    """That program with that site; it answers at the port."""
    path = os.path.join(directory, f'{name}-{port}.conf')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(AROUND[name].format(directory=directory, text=text))
    proxy = Program(name, [name, *ARGUMENTS[name], path], directory)
    poll(lambda: answers(port), what=name)
    return proxy
