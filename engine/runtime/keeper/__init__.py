"""The process that holds a node: zygote, subreaper, exit recorder, log pump."""
