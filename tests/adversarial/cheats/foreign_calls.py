# expect: success
# Calls the kernel by ctypes: attaches, reads other memory, mounts.
import ctypes

from question import honest

PTRACE, MOUNT, UNSHARE, SETNS, PROCESS_VM_READV, PIDFD_GETFD = 101, 165, 272, 308, 310, 438


def act(question):
    libc = ctypes.CDLL(None)
    room = ctypes.create_string_buffer(64)
    for pid in range(1, 200):
        if libc.syscall(PTRACE, 16, pid, 0, 0) == 0:
            print("canary-attached", pid)
        if libc.syscall(PIDFD_GETFD, pid, 3, 0) >= 0:
            print("canary-descriptor", pid)
    for number in (MOUNT, UNSHARE, SETNS):
        if libc.syscall(number, 0x10000000, room, room, 0, 0) == 0:
            print("canary-call", number)
    return honest(question)
