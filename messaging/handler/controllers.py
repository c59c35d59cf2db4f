"""Finds the marked methods of what is registered as a controller: an instance, a function or a module (ANN-02)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .marks import NO_MARKS, Marks, marks_of, method_marks


class MarkedFunction:
    """A function or bound method with its marks, and the controller that it belongs to."""

    __slots__ = ("function", "marks", "owner")

    def __init__(self, function: Callable[..., Any], marks: Marks, owner: Any) -> None:
        self.function = function
        self.marks = marks
        self.owner = owner
        """The controller; None for a plain function."""


def marked_functions(controller: Any) -> list[MarkedFunction]:
    """All marked functions of a controller, in the order in which they are defined.

    Raises TypeError for a class in place of an instance, ValueError for something without any marked function.
    """
    if isinstance(controller, type):
        raise TypeError(
            f"{controller.__qualname__} is a class: register an instance of it, {controller.__qualname__}()"
        )
    if inspect.ismodule(controller):
        found = _of_module(controller)
    elif inspect.isroutine(controller):
        found = [MarkedFunction(controller, marks_of(controller), None)]
    else:
        found = _of_instance(controller)
    found = [each for each in found if each.marks is not NO_MARKS]
    if not found:
        raise ValueError(f"{controller!r} has no method for messages, subscriptions or exceptions")
    return found


def _of_module(module: Any) -> list[MarkedFunction]:
    return [
        MarkedFunction(value, marks_of(value), module)
        for value in vars(module).values()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]


def _of_instance(controller: Any) -> list[MarkedFunction]:
    cls = type(controller)
    names = dict.fromkeys(name for each in reversed(cls.__mro__) for name in vars(each))
    found = [(name, method_marks(cls, name)) for name in names if not name.startswith("__")]
    return [
        MarkedFunction(getattr(controller, name), marks, controller) for name, marks in found if marks is not NO_MARKS
    ]
