"""ROS parameters declared from a table: type, range, choices, when they may change; checked before they are taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from uav_perception.nodes.errors import NodeError

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One parameter of a node.

    Attributes:
        name: as in ``ros2 param``.
        default: its type is the parameter's type: bool, int, float or str.
        description: one sentence with the unit.
        minimum: smallest value, included; numbers only.
        maximum: largest value, included; numbers only.
        choices: the allowed words; empty for any. Text only.
        change: ``any`` time, only while the node is ``unconfigured``, or ``never`` after the start.
    """

    name: str
    default: Value
    description: str
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()
    change: str = "any"

    def __post_init__(self) -> None:
        if self.change not in ("any", "unconfigured", "never"):
            raise ValueError(f"Parameter {self.name}: change must be any, unconfigured or never, not {self.change!r}.")
        self.checked(self.default)

    def checked(self, value: object) -> Value:
        """The value in the parameter's type. Whole numbers are fine for a float.

        Raises:
            ValueError: wrong type, out of range, or not one of the choices; says what is allowed.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"{self.name} must be of type {kind.__name__}, but got {value!r}.")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not self.minimum <= value <= self.maximum:  # refuses NaN too
                raise ValueError(f"{self.name} must be {self._range_text()}, but got {value}.")
        elif self.choices and value not in self.choices:
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, but got {value!r}.")
        return value

    def _range_text(self) -> str:
        if math.isinf(self.maximum):
            return f"at least {self.minimum:g}"
        if math.isinf(self.minimum):
            return f"at most {self.maximum:g}"
        return f"from {self.minimum:g} to {self.maximum:g}"

    def descriptor(self) -> ParameterDescriptor:
        """What ``ros2 param describe`` shows. Typing is dynamic so that ``1`` is taken for ``1.0``."""
        result = ParameterDescriptor(
            description=self.description, read_only=self.change == "never", dynamic_typing=True
        )
        constraints = []
        if self.choices:
            constraints.append("One of: " + ", ".join(self.choices) + ".")
        if self.change == "unconfigured":
            constraints.append("Can be changed while the node is unconfigured.")
        result.additional_constraints = " ".join(constraints)
        bounded = not (math.isinf(self.minimum) and math.isinf(self.maximum))
        if isinstance(self.default, float) and bounded:
            low, high = max(self.minimum, -1e300), min(self.maximum, 1e300)
            result.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
        elif type(self.default) is int and bounded:
            low, high = max(self.minimum, -(2**63)), min(self.maximum, 2**63 - 1)
            result.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        return result


class Parameters:
    """The parameters of one node, declared, checked and kept up to date.

    A value from a file or the command line that is refused does not end the process: it is kept as a problem, which
    `require_valid` reports, until a good value is set.

    Args:
        node: the node that owns them.
        table: what to declare.
        is_unconfigured: tells whether parameters with ``change="unconfigured"`` may change now.
        on_change: called with name and value after a change was accepted.
    """

    def __init__(
        self,
        node: Node,
        table: tuple[Parameter, ...],
        is_unconfigured: Callable[[], bool],
        on_change: Callable[[str, Value], None],
    ) -> None:
        self._table = {parameter.name: parameter for parameter in table}
        self._is_unconfigured = is_unconfigured
        self._on_change = on_change
        self._values: dict[str, Value] = {}
        self._problems: dict[str, str] = {}
        for parameter in table:
            self._declare(node, parameter)
        node.add_on_set_parameters_callback(self._on_set)

    def __getitem__(self, name: str) -> Value:
        """The value in force."""
        return self._values[name]

    def require_valid(self) -> None:
        """Check that the values given at the start were all fine.

        Raises:
            NodeError: lists every value that was refused.
        """
        if self._problems:
            raise NodeError(" ".join(self._problems.values()) + " Correct it in the parameter file or with ros2 param.")

    def _declare(self, node: Node, parameter: Parameter) -> None:
        self._values[parameter.name] = parameter.default
        try:
            declared = node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
            self._values[parameter.name] = parameter.checked(declared.value)
        except (InvalidParameterValueException, InvalidParameterTypeException) as error:
            node.declare_parameter(parameter.name, parameter.default, parameter.descriptor(), ignore_override=True)
            self._problems[parameter.name] = str(error)
        except ValueError as error:
            self._problems[parameter.name] = str(error)

    def _on_set(self, changes: list[RosParameter]) -> SetParametersResult:
        accepted: dict[str, Value] = {}
        for change in changes:
            parameter = self._table.get(change.name)
            if parameter is None:  # qos_overrides, use_sim_time: not ours
                continue
            try:
                accepted[change.name] = parameter.checked(change.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if parameter.change == "unconfigured" and not self._is_unconfigured():
                reason = (
                    f"{change.name} can be changed only while the node is unconfigured: deactivate and clean up first."
                )
                return SetParametersResult(successful=False, reason=reason)
        for name, value in accepted.items():
            self._values[name] = value
            self._problems.pop(name, None)
            self._on_change(name, value)
        return SetParametersResult(successful=True)
