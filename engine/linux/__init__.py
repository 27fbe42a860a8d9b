"""Doors to the kernel: one function per system call, no policy."""
