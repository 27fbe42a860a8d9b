"""The process that holds a node: zygote, exit recorder, log pump."""
