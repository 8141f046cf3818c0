"""Every public name of `multiprocessing` exists here, with the same signature."""

from __future__ import annotations

import inspect
import multiprocessing
from typing import Any

import pytest

import procession

NAMES = [name for name in multiprocessing.__all__ if name not in ("context", "process")]


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists_and_is_public(name: str) -> None:
    assert hasattr(procession, name)
    assert name in procession.__all__


@pytest.mark.parametrize("name", NAMES)
def test_its_signature_is_the_same(name: str) -> None:
    theirs, ours = getattr(multiprocessing, name), getattr(procession, name)
    if not callable(theirs) or (inspect.isclass(theirs) and issubclass(theirs, Exception)):
        assert type(theirs) is type(ours)
        return
    known, given = parameters(theirs), parameters(ours)
    assert [p[:2] for p in given[: len(known)]] == [p[:2] for p in known]
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in given[len(known) :])


METHODS = [name for name in dir(multiprocessing.Process) if not name.startswith("_")]


@pytest.mark.parametrize("name", METHODS)
def test_process_has_every_method_and_property(name: str) -> None:
    theirs, ours = getattr(multiprocessing.Process, name), getattr(procession.Process, name)
    assert isinstance(ours, property) == isinstance(theirs, property)
    if callable(theirs):
        known, given = parameters(theirs), parameters(ours)
        assert given[: len(known)] == known
        assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in given[len(known) :])


@pytest.mark.parametrize("name", procession.__all__)
def test_what_is_announced_exists(name: str) -> None:
    assert getattr(procession, name) is not None


@pytest.mark.parametrize("method", procession.get_all_start_methods())
@pytest.mark.parametrize("name", [name for name in dir(multiprocessing.get_context("spawn")) if not name.startswith("_")])
def test_contexts_have_every_name(method: str, name: str) -> None:
    assert hasattr(procession.get_context(method), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = procession.nonsense
