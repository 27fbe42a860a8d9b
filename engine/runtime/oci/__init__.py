"""The OCI runtime command line: containers without a keeper, for podman and its like."""
