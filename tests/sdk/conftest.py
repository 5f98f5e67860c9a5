"""Fixtures of the SDK tests, and the way coroutines are run."""

import asyncio
import inspect

import pytest

from mesh import TARGET, Mesh, alive

TEST_TIMEOUT_S = 90


@pytest.fixture(scope="session")
def mesh():
    """Three nodes in three regions, for all tests of the run."""
    mesh = Mesh(TARGET / "test-logs" / "mesh-sdk-python.log")
    yield mesh
    rest = mesh.stop()
    assert rest == "", "origo demo --json prints one line"
    assert not [node for node in mesh.nodes if alive(node.pid)], "nodes live on after the demo has ended"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs a coroutine as a test, with a limit."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), TEST_TIMEOUT_S))
    return True
