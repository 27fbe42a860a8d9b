"""Checks of probes and lifecycle handlers."""

from __future__ import annotations

from engine.api.admission.causes import Causes, Path
from engine.api.admission.names import port_name, port_number
from engine.types.containers import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)

SCHEMES = ("HTTP", "HTTPS")
_NUMBERS = {
    "initialDelaySeconds": "initial_delay_seconds",
    "timeoutSeconds": "timeout_seconds",
    "periodSeconds": "period_seconds",
    "successThreshold": "success_threshold",
    "failureThreshold": "failure_threshold",
}

Action = ExecAction | HTTPGetAction | TCPSocketAction | GRPCAction | SleepAction


def check_probe(probe: Probe | None, path: Path, causes: Causes, *, single: bool) -> None:
    """`single` says that one success must be enough, as for liveness and startup."""
    if probe is None:
        return
    _check_actions(
        {
            "exec": probe.exec,
            "httpGet": probe.http_get,
            "tcpSocket": probe.tcp_socket,
            "grpc": probe.grpc,
        },
        path,
        causes,
    )
    for name, attribute in _NUMBERS.items():
        number = getattr(probe, attribute)
        if number < 0:
            causes.invalid(path / name, number, "must be greater than or equal to 0")
    if single and probe.success_threshold != 1:
        causes.invalid(path / "successThreshold", probe.success_threshold, "must be 1")
    grace = probe.termination_grace_period_seconds
    if grace is not None and grace <= 0:
        detail = "must be greater than 0"
        causes.invalid(path / "terminationGracePeriodSeconds", grace, detail)


def check_lifecycle(lifecycle: Lifecycle | None, path: Path, causes: Causes) -> None:
    if lifecycle is None:
        return
    _check_handler(lifecycle.post_start, path / "postStart", causes)
    _check_handler(lifecycle.pre_stop, path / "preStop", causes)


def _check_handler(handler: LifecycleHandler | None, path: Path, causes: Causes) -> None:
    if handler is not None:
        _check_actions(
            {
                "exec": handler.exec,
                "httpGet": handler.http_get,
                "tcpSocket": handler.tcp_socket,
                "sleep": handler.sleep,
            },
            path,
            causes,
        )


def _check_actions(actions: dict[str, Action | None], path: Path, causes: Causes) -> None:
    given = [(name, action) for name, action in actions.items() if action is not None]
    if not given:
        causes.required(path, "must specify a handler type")
    for name, _ in given[1:]:
        causes.forbidden(path / name, "may not specify more than 1 handler type")
    for name, action in given[:1]:
        _check_action(action, path / name, causes)


def _check_action(action: Action, path: Path, causes: Causes) -> None:
    match action:
        case ExecAction():
            if not action.command:
                causes.required(path / "command")
        case HTTPGetAction():
            if not action.path:
                causes.required(path / "path")
            if action.scheme not in SCHEMES:
                causes.unsupported(path / "scheme", action.scheme, SCHEMES)
            _check_port(action.port, path / "port", causes)
        case TCPSocketAction() | GRPCAction():
            _check_port(action.port, path / "port", causes)
        case SleepAction():
            if action.seconds < 0:
                causes.invalid(path / "seconds", action.seconds, "must be non-negative")


def _check_port(port: int | str, path: Path, causes: Causes) -> None:
    wrong = port_number(port) if isinstance(port, int) else port_name(port)
    if wrong:
        causes.invalid(path, port, wrong)
