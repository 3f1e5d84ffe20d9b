"""Waiting for conditions, with deadlines and without sleeping."""
import threading
import time

# It bounds a hang, not the speed of the machine: one that is met costs nothing.
DEADLINE = 60.0


class Timeout(AssertionError):
    """Something that had to happen did not happen in time."""


class Mailbox:
    """What a reader thread leaves for the test: items that are taken by predicate."""

    def __init__(self, name):
        self.name = name
        self.items = []
        self.closed = False
        self._changed = threading.Condition()

    def put(self, item):
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def close(self):
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def poke(self):
        with self._changed:
            self._changed.notify_all()

    def take(self, wanted=lambda item: True, timeout=DEADLINE, what='an item', tick=None):
        """Remove and return the first item for which wanted(item) holds.

        tick() is called while waiting; it returns the seconds until it wants to be called again.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for index, item in enumerate(self.items):
                    if wanted(item):
                        return self.items.pop(index)
                left = deadline - time.monotonic()
                if self.closed:
                    raise Timeout(f'{self.name}: closed while waiting for {what}; '
                                  f'has {self.items!r}')
                if left <= 0:
                    raise Timeout(f'{self.name}: no {what} within {timeout} s; '
                                  f'has {self.items!r}')
                if tick:
                    left = min(left, tick())
                self._changed.wait(left)

    def has(self, wanted=lambda item: True):
        with self._changed:
            return [item for item in self.items if wanted(item)]

    def until(self, condition, timeout=DEADLINE, what='a condition'):
        """Wait until condition() is true; it is looked at whenever something arrives."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f'{self.name}: {what} did not come within {timeout} s; '
                                  f'has {self.items!r}')
                self._changed.wait(left)


def poll(condition, timeout=DEADLINE, what='a condition', interval=None):
    """For what tells nobody when it changes (another process' state): ask again and again.

    Every interval seconds; or at first at once, then ever less often.
    """
    deadline = time.monotonic() + timeout
    pause, between = threading.Event(), 0.002
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Timeout(f'{what} did not come within {timeout} s')
        pause.wait(between if interval is None else interval)
        between = min(2 * between, 0.05)
