"""From a message to its method, and on to what the return value or the error becomes (ANN-02 to ANN-08).

This knows no protocol: the simple messaging handler on top says which destination a message has and where replies go.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..exceptions import MessageHandlingError, TaskRejectedError, is_passed_on, remark_on
from ..executor import Executor, Task
from ..matching import AntPathMatcher, PathMatcher
from ..message import Message
from .annotations import DestinationVariable
from .arguments import HandlerMethodArgumentResolver
from .controllers import MarkedFunction, marked_functions
from .exception_handlers import Advice, ExceptionHandlerMethod, ExceptionHandlerMethodResolver
from .invocation import InvocationMessage
from .mapping import MappingInfo, MappingMatch, MappingRegistry, Placeholders, combine_patterns, resolve_placeholders
from .marks import MappingKind, marks_of
from .method import HandlerMethod, InvocableHandlerMethod, method_name
from .parameters import MethodParameter
from .payload import PayloadMethodArgumentResolver
from .returns import HandlerMethodReturnValueHandler, ReplyFunction, is_future, no_futures, reply_function, when_done

logger = logging.getLogger(__name__)

_VARIABLE = re.compile(r"\{(\w+)")


class MappedMethod:
    """A method with all that is needed to call it."""

    __slots__ = ("call", "controller", "exception_handlers", "invocable", "reply")

    def __init__(
        self,
        invocable: InvocableHandlerMethod,
        reply: ReplyFunction | None,
        controller: Any,
        exception_handlers: ExceptionHandlerMethodResolver,
    ) -> None:
        self.invocable = invocable
        self.call = invocable.call
        self.reply = reply
        """What to do with its return value; None where it is declared to return None."""
        self.controller = controller
        self.exception_handlers = exception_handlers

    def __repr__(self) -> str:
        return repr(self.invocable.method)


def _warn_of_replies_of_nothing(functions: Iterable[MarkedFunction]) -> None:
    for each in functions:
        marks = each.marks
        if not marks.mappings and marks.exception_types is None:
            logger.warning(
                "%s says where its reply goes, but no @message_mapping, @subscribe_mapping or "
                "@message_exception_handler says when it is called",
                method_name(each.function, each.owner),
            )


class MethodMessageHandler:
    """Calls the methods of controllers. A subclass finds the match for a message and has it dispatched."""

    def __init__(
        self,
        *,
        argument_resolvers: Sequence[HandlerMethodArgumentResolver],
        return_value_handlers: Sequence[HandlerMethodReturnValueHandler],
        path_matcher: PathMatcher | None = None,
        placeholders: Placeholders | None = None,
        future_executor: Executor | None = None,
    ) -> None:
        """*future_executor* runs what follows when a returned future is done; None: whoever completes it does."""
        self.path_matcher = path_matcher or AntPathMatcher()
        self._argument_resolvers = tuple(argument_resolvers)
        self._return_value_handlers = tuple(return_value_handlers)
        self._placeholders = placeholders
        self._future_executor = future_executor
        self._registry: MappingRegistry[MappedMethod] = MappingRegistry(self.path_matcher, self.lookup_destination)
        self._advice: tuple[Advice, ...] = ()

    # -- registration

    @property
    def handler_methods(self) -> dict[MappingInfo, HandlerMethod]:
        """A snapshot of what is mapped."""
        return {info: mapped.invocable.method for info, mapped in self._registry.mappings.items()}

    def register(self, controller: Any) -> None:
        """Add the marked methods of an instance, a marked function, or the marked functions of a module.

        A class that is marked as advice, and a plain function for exceptions, serves the other controllers as well.

        Of a controller that is refused nothing is added. Raises TypeError or ValueError for what cannot be a
        controller, TypeError for annotations that cannot be resolved, ValueError for an unknown placeholder,
        RuntimeError for an ambiguous mapping.
        """
        functions = marked_functions(controller)
        _warn_of_replies_of_nothing(functions)
        resolver = ExceptionHandlerMethodResolver(
            self._exception_handler(each) for each in functions if each.marks.exception_types is not None
        )
        advice = self._advice
        mark = marks_of(type(controller)).advice
        is_function = functions[0].owner is None
        if mark is not None or (is_function and functions[0].marks.exception_types is not None):
            advice = tuple(sorted((*advice, Advice(mark, resolver)), key=lambda each: each.order))
        self._registry.add_all(self._mapped_methods(functions, controller, resolver))
        self._advice = advice

    def _mapped_methods(
        self, functions: Iterable[MarkedFunction], controller: Any, resolver: ExceptionHandlerMethodResolver
    ) -> Iterator[tuple[MappingInfo, MappedMethod]]:
        # Differs from Spring: a method may be mapped for both kinds; there its subscriptions would be ignored.
        for function in functions:
            for kind, destinations in function.marks.mappings.items():
                method = self._method(function, kind)
                prefixes = method.class_marks.mappings.get(MappingKind.MESSAGE, ())
                patterns = combine_patterns(self._resolved(prefixes), self._resolved(destinations), self.path_matcher)
                if patterns:
                    self.check_mapping(method, patterns)
                    yield MappingInfo(kind, patterns), MappedMethod(*self._plan(method), controller, resolver)
                else:
                    logger.debug("%s has no destination and is not registered", method)

    def check_mapping(self, method: HandlerMethod, patterns: Sequence[str]) -> None:
        """Say in the log what is allowed and yet most likely a mistake: parameters that are the payload by default."""
        payloads = [each for each in method.parameters if not each.is_marked and self._is_payload(each)]
        variables = {name for each in patterns for name in _VARIABLE.findall(each)}
        for parameter in payloads:
            if parameter.name in variables:
                logger.warning(
                    "%s is the payload, not the variable of %s: for that write %s: Annotated[%s, DestinationVariable]",
                    parameter.describe(),
                    " or ".join(patterns),
                    parameter.name,
                    "str" if parameter.annotation is Any else parameter.type_name,
                )
        for parameter in method.parameters:
            marker = parameter.marker(DestinationVariable)
            if marker is not None and (marker.name or parameter.name) not in variables:
                logger.warning(
                    "%s wants the variable {%s}, which %s has not: no message will reach the method",
                    parameter.describe(),
                    marker.name or parameter.name,
                    " or ".join(patterns),
                )
        others = [each for each in payloads if each.name not in variables]
        if len(others) > 1:
            logger.warning(
                "Parameters %s of %s each get the whole payload, not a field of it: for fields write one dataclass, "
                "for other things a marker in Annotated",
                ", ".join(repr(each.name) for each in others),
                method.name,
            )

    def _is_payload(self, parameter: MethodParameter) -> bool:
        found = next((each for each in self._argument_resolvers if each.supports_parameter(parameter)), None)
        return isinstance(found, PayloadMethodArgumentResolver)

    def _exception_handler(self, function: MarkedFunction) -> ExceptionHandlerMethod:
        return ExceptionHandlerMethod(*self._plan(self._method(function, None)))

    def _method(self, function: MarkedFunction, kind: MappingKind | None) -> HandlerMethod:
        return HandlerMethod(function.function, owner=function.owner, marks=function.marks, kind=kind)

    def _plan(self, method: HandlerMethod) -> tuple[InvocableHandlerMethod, ReplyFunction | None]:
        invocable = InvocableHandlerMethod(method, self._argument_resolvers)
        return invocable, reply_function(method, self._return_value_handlers)

    def _resolved(self, destinations: Iterable[str]) -> list[str]:
        return [resolve_placeholders(each, self._placeholders) for each in destinations]

    # -- handling

    def lookup_destination(self, destination: str) -> str | None:
        """The part of a destination that methods are mapped to, None when that is nobody's.

        Asked once for a destination that is remembered. Here all of it.
        """
        return destination

    def dispatch(self, match: MappingMatch[MappedMethod], message: Message[Any]) -> None:
        """Call the method, and deal with what it returns or raises.

        Errors of the method and of its arguments go to exception handlers, or to ``unhandled``.
        """
        mapped = match.handler
        invocation = InvocationMessage(message, match.lookup_destination, match.variables)
        try:
            value = mapped.call(invocation)
            if value is not None and mapped.reply is not None:
                if value.__class__ not in no_futures and is_future(value):
                    self._reply_later(mapped, value, invocation)
                else:
                    mapped.reply(value, invocation)
        except BaseException as error:  # the border to the user's code: errors are for the exception handlers
            if is_passed_on(error):
                raise
            self._handle_error(error, mapped, invocation)
        finally:
            if invocation._headers is not None:
                invocation.freeze()

    def _reply_later(self, mapped: MappedMethod, future: Any, message: InvocationMessage) -> None:
        executor = self._future_executor
        complete = partial(self._complete, mapped, message)
        if executor is None:
            when_done(future, complete)
        else:
            when_done(future, lambda value, error: _execute(executor, partial(complete, value, error)))

    def _complete(
        self, mapped: MappedMethod, message: InvocationMessage, value: Any, error: BaseException | None
    ) -> None:
        """A future is done: its value is handled like a returned one, its error like a raised one."""
        if error is not None:
            self._handle_error(error, mapped, message)
        elif value is not None and mapped.reply is not None:
            try:
                if is_future(value):
                    self._reply_later(mapped, value, message)
                else:
                    mapped.reply(value, message)
            except BaseException as failure:  # as in dispatch
                if is_passed_on(failure):
                    raise
                self._handle_error(failure, mapped, message)

    # -- errors

    def _handle_error(self, error: BaseException, mapped: MappedMethod, message: InvocationMessage) -> None:
        if not isinstance(error, Exception):
            if isinstance(error, SystemExit):  # also where an exception handler takes it
                logger.error("Exit in %s (%s)%s", mapped, self.describe(message), remark_on(error))
            wrapped = MessageHandlingError("Unexpected handler method invocation error", message)
            wrapped.__cause__ = error
            error = wrapped
        handler = self._exception_handler_for(error, mapped)
        if handler is None:
            self.unhandled(error, message)
            return
        try:
            provided = [each for each in (error, error.__cause__, mapped.invocable.method) if each is not None]
            value = handler.invocable.invoke(message, provided)
            if value is not None and handler.reply is not None:
                if is_future(value):
                    raise TypeError(f"{handler.invocable.method} must not return a future")
                handler.reply(value, message)
        except BaseException as failure:  # nobody is left to tell but the log
            if is_passed_on(failure):
                raise
            remark = remark_on(failure)
            logger.exception("Error while processing handler method exception (%s)%s", self.describe(message), remark)

    def _exception_handler_for(self, error: BaseException, mapped: MappedMethod) -> ExceptionHandlerMethod | None:
        found = mapped.exception_handlers.resolve(error)
        if found is not None:
            return found
        for advice in self._advice:
            if self._applies(advice, mapped):
                found = advice.resolver.resolve(error)
                if found is not None:
                    return found
        return None

    def _applies(self, advice: Advice, mapped: MappedMethod) -> bool:
        try:
            return advice.applies_to(mapped.controller)
        except BaseException as failure:  # the method's own error must still be handled, or logged
            if is_passed_on(failure):
                raise
            logger.exception("Condition of an advice failed for %s: left out%s", mapped, remark_on(failure))
            return False

    def unhandled(self, error: BaseException, message: InvocationMessage) -> None:
        """An error that no method handles: logged. Must not raise."""
        logger.error("Unhandled exception from message handler method (%s)", self.describe(message), exc_info=error)

    def describe(self, message: InvocationMessage) -> str:
        """Which message this is about, for log lines."""
        return f"destination={message.lookup_destination}"


def _execute(executor: Executor, task: Task) -> None:
    try:
        executor.execute(task)
    except TaskRejectedError:
        task()
