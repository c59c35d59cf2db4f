"""Media types: what the header `contentType` holds and what converters declare (MSG-07, CONV-02).

A value beside the flow: the STOMP headers parse it, converters compare it. Text only, no messages.
"""

import codecs
import re
from collections.abc import Mapping
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import lru_cache
from types import MappingProxyType

CACHED_TEXT_LENGTH = 256
"""Texts up to this many characters are cached by `parse_mime_type`; clients choose the text, so longer ones are not."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PIECE = re.compile(r'((?:[^;"]+|"[^"]*(?:"|\Z))*)(?:;|\Z)')  # up to the next semicolon outside quotes
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})

# Only names that are known to exist reach the codec registry: it remembers every unknown name for ever.
# The escape and IDNA codecs are not among them: they are no charsets.
_CHARSETS = frozenset({*aliases, *aliases.values(), "utf_8_sig", "koi8_t", "koi8_u", "cp720", "cp737", "cp874"})


class InvalidMimeTypeError(ValueError):
    """A text that is no media type. `mime_type` is the text."""

    def __init__(self, mime_type: str, reason: str) -> None:
        super().__init__(f'Invalid mime type "{mime_type}": {reason}')
        self.mime_type = mime_type


class MimeType:
    """A media type: an immutable, hashable value.

    `type`, `subtype` and the names of parameters are compared without regard to case and kept in lower case. Values of
    parameters are kept as written, quotes included, and compared so; charsets are equal when they mean the same codec.
    """

    __slots__ = ("_charset", "_hash", "_parameters", "_subtype", "_text", "_type")

    def __init__(self, type: str, subtype: str = "*", parameters: Mapping[str, str] | None = None) -> None:
        """Raises ValueError for characters that are not allowed in a token and for a charset that does not exist."""
        self._type = _token(type).lower()
        self._subtype = _token(subtype).lower()
        self._parameters = _checked_parameters(parameters) if parameters else _NO_PARAMETERS
        charset = self._parameters.get("charset")
        self._charset = None if charset is None else _checked_charset(_unquote(charset))
        pairs = "".join(f";{name}={value}" for name, value in self._parameters.items())
        self._text = f"{self._type}/{self._subtype}{pairs}"
        self._hash = hash((self._type, self._subtype, frozenset(self._compared().items())))

    @property
    def type(self) -> str:
        return self._type

    @property
    def subtype(self) -> str:
        return self._subtype

    @property
    def parameters(self) -> Mapping[str, str]:
        """Read-only, in the order written, names in lower case. Never None, may be empty."""
        return self._parameters

    @property
    def charset(self) -> str | None:
        """The charset without quotes, in lower case, fit for `str.encode` and `bytes.decode`; None when not given."""
        return self._charset

    @property
    def subtype_suffix(self) -> str | None:
        """What follows the last `+` in the subtype: `json` of `application/problem+json`."""
        _, plus, suffix = self._subtype.rpartition("+")
        return suffix if plus else None

    @property
    def is_wildcard_type(self) -> bool:
        return self._type == "*"

    @property
    def is_wildcard_subtype(self) -> bool:
        """Whether the subtype is `*` or begins with `*+`."""
        return self._subtype == "*" or self._subtype.startswith("*+")

    @property
    def is_concrete(self) -> bool:
        return not self.is_wildcard_type and not self.is_wildcard_subtype

    def parameter(self, name: str) -> str | None:
        return self._parameters.get(name.lower())

    def includes(self, other: "MimeType | None") -> bool:
        """Whether `other` is one of the types that this one stands for; parameters are not looked at (CONV-02).

        `application/*+json` includes `application/vnd.x+json`, yet not `application/json`.
        """
        if other is None:
            return False
        if self.is_wildcard_type:
            return True
        if self._type != other._type:
            return False
        if self._subtype == other._subtype or self._subtype == "*":
            return True
        return self._subtype.startswith("*+") and other.subtype_suffix == self.subtype_suffix

    def is_compatible_with(self, other: "MimeType | None") -> bool:
        """Whether something could be of both types; symmetric, parameters are not looked at.

        Here `application/*+json` goes with `application/json` too.
        """
        if other is None:
            return False
        if self.is_wildcard_type or other.is_wildcard_type:
            return True
        if self._type != other._type:
            return False
        if self._subtype == other._subtype or "*" in (self._subtype, other._subtype):
            return True
        return self._suffix_covers(other) or other._suffix_covers(self)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, MimeType):
            return NotImplemented
        return self._type == other._type and self._subtype == other._subtype and self._compared() == other._compared()

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<MimeType {self._text}>"

    def _suffix_covers(self, other: "MimeType") -> bool:
        suffix = self.subtype_suffix
        return self._subtype.startswith("*+") and suffix in (other._subtype, other.subtype_suffix)

    def _compared(self) -> Mapping[str, str | None]:
        return (
            self._parameters
            if self._charset is None
            else {**self._parameters, "charset": codecs.lookup(self._charset).name}
        )


def parse_mime_type(text: str) -> MimeType:
    """The media type that `text` tells. `*` alone means `*/*`; a parameter without `=` is ignored.

    Equal texts may give the same object. Raises InvalidMimeTypeError.
    """
    return _parse_cached(text) if len(text) <= CACHED_TEXT_LENGTH else _parse(text)


def _parse(text: str) -> MimeType:
    full_type, *rest = _PIECE.findall(text) if '"' in text else text.split(";")
    full_type = full_type.strip()
    if not full_type:
        raise InvalidMimeTypeError(text, "'mimeType' must not be empty")
    main, slash, subtype = ("*", "/", "*") if full_type == "*" else full_type.partition("/")
    if not slash:
        raise InvalidMimeTypeError(text, "does not contain '/'")
    if not subtype:
        raise InvalidMimeTypeError(text, "does not contain subtype after '/'")
    if main == "*" and subtype != "*":
        raise InvalidMimeTypeError(text, "wildcard type is legal only in '*/*' (all mime types)")
    parameters = {}
    for part in rest:
        name, equals, value = part.partition("=")
        if equals:
            parameters[name.strip()] = value.strip()
    try:
        return MimeType(main, subtype, parameters)
    except ValueError as error:
        raise InvalidMimeTypeError(text, str(error)) from error


_parse_cached = lru_cache(maxsize=256)(_parse)


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f'Invalid token "{text}"' if text else "a token must not be empty")
    return text


def _checked_parameters(parameters: Mapping[str, str]) -> Mapping[str, str]:
    checked = {}
    for name, value in parameters.items():
        if not _is_quoted(value):
            _token(value)
        checked[_token(name).lower()] = value
    return MappingProxyType(checked)


def _checked_charset(charset: str) -> str:
    name = charset.lower()
    normalized = normalize_encoding(name)
    try:
        if normalized not in _CHARSETS:
            raise LookupError(charset)
        "".encode(name)  # refuses codecs that are no charsets, such as base64
    except LookupError as error:
        raise ValueError(f"unsupported charset '{charset}'") from error
    return name


def _is_quoted(text: str) -> bool:
    return len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"


def _unquote(text: str) -> str:
    return text[1:-1] if _is_quoted(text) else text


ALL = MimeType("*", "*")
APPLICATION_JSON = MimeType("application", "json")
APPLICATION_ANY_JSON = MimeType("application", "*+json")
APPLICATION_OCTET_STREAM = MimeType("application", "octet-stream")
APPLICATION_XML = MimeType("application", "xml")
APPLICATION_ANY_XML = MimeType("application", "*+xml")
TEXT_EVENT_STREAM = MimeType("text", "event-stream")
TEXT_HTML = MimeType("text", "html")
TEXT_PLAIN = MimeType("text", "plain")
TEXT_PLAIN_UTF_8 = MimeType("text", "plain", {"charset": "utf-8"})
TEXT_XML = MimeType("text", "xml")
