"""The engine on another kernel: pure cgroup v2, in a small virtual machine."""
