"""Applications that show what one request leaves behind for the next."""

import contextvars
import importlib
import os
import subprocess
import sys
import sysconfig
import threading
import time

from apps.common import TEXT, answer, seen

colour = contextvars.ContextVar("colour", default="none")
local = threading.local()


def context(environ, start_response):
    """The value that the context variable had, then had in next() and close() after it was set here."""
    values = [colour.get()]
    colour.set(environ["QUERY_STRING"])

    class Result:
        def __iter__(self):
            values.append(colour.get())
            yield repr(values).encode()

        def close(self):
            seen.append(colour.get())

    start_response("200 OK", TEXT)
    return Result()


def thread_local(environ, start_response):
    """What a threading.local set in app() holds in next() and close()."""
    local.value = environ["QUERY_STRING"]

    class Result:
        def __iter__(self):
            yield local.value.encode()

        def close(self):
            seen.append(local.value)

    start_response("200 OK", TEXT)
    return Result()


class Finalised:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        seen.append(f"finalised {self.name}")


def finalised(environ, start_response):
    """Leaves an object in environ that tells when it goes."""
    environ["test.object"] = Finalised(environ["QUERY_STRING"])
    start_response("200 OK", TEXT)
    return [b"ok"]


def finalised_failing(environ, start_response):
    """As `finalised`, and raises: the traceback must not keep the frame, nor it environ."""
    environ["test.object"] = Finalised(environ["QUERY_STRING"])
    raise ValueError("finalised_failing")


ticks = 0
child_says = []  # descriptors that the at-fork function writes to
os.register_at_fork(after_in_child=lambda: [os.write(descriptor, b"child") for descriptor in child_says])


def start_thread(environ, start_response):
    """Starts a thread that counts, for as long as the process lives."""

    def count():
        global ticks
        pause = threading.Event()
        while True:
            ticks += 1
            pause.wait(0.001)

    threading.Thread(target=count, daemon=True).start()
    return answer(start_response, True)


def report_ticks(environ, start_response):
    return answer(start_response, ticks)


def fork(environ, start_response):
    """Forks; the child runs the at-fork functions and leaves."""
    reading, writing = os.pipe()
    child_says[:] = [writing]
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    _, status = os.waitpid(pid, 0)
    said = os.read(reading, 100)
    child_says.clear()
    os.close(reading)
    os.close(writing)
    return answer(start_response, (os.waitstatus_to_exitcode(status), said))


def run_command(environ, start_response):
    """A subprocess with its output, as applications do."""
    done = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, check=True)
    return answer(start_response, done.stdout)


def gil(environ, start_response):
    """Whether the interpreter was built with a GIL; and whether it has one, now that the module is there."""
    built = not sysconfig.get_config_var("Py_GIL_DISABLED")
    importlib.import_module("cserve")
    has = sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else True
    return answer(start_response, (built, has))


def main_thread(environ, start_response):
    """Whether this is the thread that Python takes for its main one (signal handlers need it)."""
    return answer(start_response, threading.current_thread() is threading.main_thread())


def fork_and_leave(environ, start_response):
    """Forks a child that lives on for a second; the connection that it inherits is none of its business."""
    if os.fork() == 0:
        time.sleep(1)
        os._exit(0)
    return answer(start_response, "forked")
