"""A network namespace with one cable to ours, that can be pulled. Needs root and Linux alone: the
toolchain has no `ip`, so the cable is made through rtnetlink and the addresses by ioctl."""

import ctypes
import fcntl
import os
import socket
import struct

from process import CLONE_NEWNET, LIBC

NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL = 1, 4, 0x400, 0x200
RTM_NEWLINK = 16
NLMSG_ERROR = 2
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
VETH_INFO_PEER = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
IFF_UP = 1
NAME_BYTES = 16


def attribute(kind, payload):
    size = 4 + len(payload)
    return struct.pack("=HH", size, kind) + payload + bytes(-size % 4)


def interface_message():
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)


def make_cable(name, peer, namespace):
    """A pair of interfaces, the second one in the namespace of this descriptor."""
    inner = interface_message() + attribute(IFLA_IFNAME, peer.encode() + b"\0") + attribute(
        IFLA_NET_NS_FD, struct.pack("=I", namespace))
    info = attribute(IFLA_INFO_KIND, b"veth") + attribute(
        IFLA_INFO_DATA, attribute(VETH_INFO_PEER, inner))
    body = interface_message() + attribute(IFLA_IFNAME, name.encode() + b"\0") + attribute(
        IFLA_LINKINFO, info)
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
    message = struct.pack("=IHHII", 16 + len(body), RTM_NEWLINK, flags, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(message)
        answer = netlink.recv(65536)
    kind = struct.unpack_from("=H", answer, 4)[0]
    error = struct.unpack_from("=i", answer, 16)[0]
    if kind == NLMSG_ERROR and error != 0:
        raise OSError(-error, f"cannot make the cable: {os.strerror(-error)}")


def configure(name, address):
    """Gives the interface an address in a network of four, and switches it on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for order, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.252")):
            packed = struct.pack("=16sHH4s8x", name.encode(), socket.AF_INET, 0,
                                 socket.inet_aton(value))
            fcntl.ioctl(control, order, packed)
    switch(name, True)


def switch(name, is_on):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        found = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("=16sH22x", name.encode(), 0))
        flags = struct.unpack_from("=H", found, NAME_BYTES)[0]
        flags = flags | IFF_UP if is_on else flags & ~IFF_UP
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("=16sH22x", name.encode(), flags))


class Network:
    """Goes with its last process and descriptor. `here` and `there` are the ends' addresses."""

    def __init__(self):
        number = os.getpid()
        self.name = f"chaos{number}"
        base = 4 * (number % 16000)
        prefix = f"10.213.{base // 256}.{base % 256}".rsplit(".", 1)[0]
        self.here = f"{prefix}.{base % 256 + 1}"
        self.there = f"{prefix}.{base % 256 + 2}"
        ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if LIBC.unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot make a network namespace")
            self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            LIBC.setns(ours, CLONE_NEWNET)
            make_cable(self.name, "inside", self.namespace)
            LIBC.setns(self.namespace, CLONE_NEWNET)
            configure("inside", self.there)
            configure("lo", "127.0.0.1")
            LIBC.setns(ours, CLONE_NEWNET)
            configure(self.name, self.here)
        finally:
            LIBC.setns(ours, CLONE_NEWNET)
            os.close(ours)

    def pull(self):
        switch(self.name, False)

    def plug(self):
        switch(self.name, True)

    def close(self):
        os.close(self.namespace)


def try_network():
    """None where it is not allowed."""
    if os.geteuid() != 0:
        return None
    try:
        return Network()
    except OSError:
        return None
