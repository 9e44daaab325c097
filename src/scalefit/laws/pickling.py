"""Laws that go to other processes with their code, and are the same when they come back."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

__all__ = ["code_travels", "received", "sent"]

# Laws that came last are kept: the next task brings them again, and would trace them again.
KEPT = 64

# Laws that went to other processes, or came from there, by the token that travels with each.
_KNOWN: WeakValueDictionary[str, Any] = WeakValueDictionary()
_LAST: deque[Any] = deque(maxlen=KEPT)


def code_travels() -> bool:
    """Whether the caller, a ``__reduce__``, is asked by cloudpickle, which sends code of functions.

    joblib and Ray carry cloudpickle under names of their own. It is told by the function that asks,
    the next on the stack; that of the standard pickle is none of Python's.
    """
    asks = sys._getframe(2)
    return asks.f_code.co_name == "dump" and "cloudpickle" in asks.f_globals.get("__name__", "")


def sent(law: Any, memo: dict[Any, Any]) -> str:
    """The token of a law, under which this process knows it when it comes back.

    Args:
        law: the law.
        memo: its memo, which holds the token.
    """
    token = memo.setdefault("token", uuid4().hex)
    _KNOWN[token] = law
    return token


def received(kind: Callable[..., Any], token: str, given: tuple[Any, ...]) -> Any:
    """The law of a token, made where this process does not know it.

    Args:
        kind: makes it.
        token: travelled with it.
        given: what it is made of.
    """
    law = _KNOWN.get(token)
    if law is None:
        law = kind(*given)
        law.memo["token"] = token
        law = _KNOWN.setdefault(token, law)
        _LAST.append(law)
    return law
