"""Shared fixtures: every device that Warp finds, and a quiet Warp."""

import pytest
import warp as wp

wp.config.quiet = True

FAKE_CUDA = "--fake-cuda"


def pytest_addoption(parser):
    parser.addoption(
        FAKE_CUDA, action="store_true", help="run the tests that take a device on a CUDA device that is not there"
    )


def pytest_configure(config):
    if config.getoption(FAKE_CUDA):
        import fake_cuda

        fake_cuda.install()


def pytest_generate_tests(metafunc):
    """CPU and the first CUDA device; the latter is skipped, with the reason, where there is none."""
    wp.init()
    missing = pytest.mark.skipif(not wp.get_cuda_devices(), reason="Warp finds no CUDA device")
    given = {name.strip() for mark in metafunc.definition.iter_markers("parametrize") for name in _names(mark.args[0])}
    if "device" in metafunc.fixturenames and "device" not in given:
        devices = ["cpu", pytest.param("cuda:0", marks=missing)]
        metafunc.parametrize("device", devices, indirect=True, scope="session")


def _names(given):
    return given.split(",") if isinstance(given, str) else given


def pytest_collection_modifyitems(config, items):
    if config.getoption(FAKE_CUDA):
        chosen = [i for i in items if getattr(i, "callspec", None) and i.callspec.params.get("device") == "cuda:0"]
        config.hook.pytest_deselected(items=[i for i in items if i not in chosen])
        items[:] = chosen


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption(FAKE_CUDA) and not hasattr(config, "workerinput"):
        import fake_cuda

        terminalreporter.write_line(fake_cuda.report())


@pytest.fixture(scope="session")
def device(request):
    return request.param


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Settled piles are made once a session, in a folder of its own, never in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
