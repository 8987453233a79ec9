"""A seccomp denylist as classic BPF, assembled here.

Belongs here: numbers of system calls and the filter. Who loads it are the backends.
System calls that no candidate and no compiler needs, and that widen the kernel's attack surface, fail with EPERM;
so do those that reach what only a namespace keeps apart, where there is none.
"""

from __future__ import annotations

import errno
import platform
import struct
from pathlib import Path

from cpp_pipeline.sandbox.isolation.box import IsolationError

_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH, _ARG0 = 0, 4, 16
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}
_AF_UNIX, _NO_FAMILY = 1, 0xFFFFFFFF

# name -> (x86_64, aarch64); -1: the architecture does not have it
_DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268), "mknodat": (259, 33), "mknod": (133, -1),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "syslog": (103, 116), "quotactl": (179, 60), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "modify_ldt": (154, -1),
    "personality": (135, 92), "pidfd_getfd": (438, 438), "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262), "vhangup": (153, 58), "iopl": (172, -1), "ioperm": (173, -1),
}  # fmt: skip
# objects and events of the whole machine, which a box with namespaces of its own has for itself
_SHARED = {
    "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "inotify_init": (253, -1), "inotify_init1": (294, 26),
}  # fmt: skip
_ARCHES = {
    # machine: (audit arch, column, clone, clone3, socket, socketpair)
    "x86_64": (0xC000003E, 0, 56, 435, 41, 53),
    "aarch64": (0xC00000B7, 1, 220, 435, 198, 199),
}


def _op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, k)


def write_filter(folder: Path, namespaces: bool = True) -> Path:
    """Write the program for this machine where boxes can read it; raises IsolationError when there is none."""
    path = folder / "seccomp.bpf"
    try:
        path.write_bytes(denylist(namespaces=namespaces))
    except ValueError as error:
        raise IsolationError(str(error)) from error
    path.chmod(0o644)
    return path


def denylist(machine: str | None = None, namespaces: bool = True) -> bytes:
    """Filter program as the kernel takes it, 8 bytes an instruction.

    Parameters
    ----------
    machine : str | None
        Architecture as `uname -m` names it; by default this machine's.
    namespaces : bool
        The box has a network and IPC namespace of its own: unix sockets may be made.

    Raises
    ------
    ValueError
        There is no table for the architecture.
    """
    machine = platform.machine() if machine is None else machine
    if machine not in _ARCHES:
        raise ValueError(f"no system call table for {machine}; known are {', '.join(sorted(_ARCHES))}")
    arch, column, clone, clone3, socket, socketpair = _ARCHES[machine]
    program = [_op(_LD, _ARCH), _op(_JEQ, arch, 1, 0), _op(_RET, _KILL), _op(_LD, _NR)]
    if machine == "x86_64":
        program += [_op(_JGE, _X32, 0, 1), _op(_RET, _KILL)]
    # clone3 hides its flags behind a pointer: ENOSYS makes libc fall back to clone
    program += [_op(_JEQ, clone3, 0, 1), _op(_RET, _ERRNO | errno.ENOSYS)]
    for numbers in (_DENIED if namespaces else _DENIED | _SHARED).values():
        if numbers[column] >= 0:
            program += [_op(_JEQ, numbers[column], 0, 1), _op(_RET, _ERRNO | errno.EPERM)]
    program += [
        _op(_JEQ, clone, 0, 4),
        _op(_LD, _ARG0),
        _op(_JSET, _NEW_NAMESPACES, 0, 1),
        _op(_RET, _ERRNO | errno.EPERM),
        _op(_RET, _ALLOW),
    ]
    for number in (socket, socketpair):
        program += [
            _op(_JEQ, number, 0, 4),
            _op(_LD, _ARG0),
            _op(_JEQ, _AF_UNIX if namespaces else _NO_FAMILY, 1, 0),
            _op(_RET, _ERRNO | errno.EAFNOSUPPORT),
            _op(_RET, _ALLOW),
        ]
    program.append(_op(_RET, _ALLOW))
    return b"".join(program)
