"""Control groups behind seven verbs: v1, v2 and hybrid."""
