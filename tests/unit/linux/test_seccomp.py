"""A filter is checked before it is loaded: there is no way back."""

import pytest

from engine.linux import seccomp


@pytest.mark.parametrize("program", [b"", b"seven..", bytes(12)])
def test_half_an_instruction_is_refused(program: bytes) -> None:
    with pytest.raises(ValueError, match="8 bytes an instruction"):
        seccomp.set_mode_filter(program)
