"""Shared fixtures: every device that Warp finds, and a quiet Warp."""

import pytest
import warp as wp

wp.config.quiet = True


def devices():
    """CPU and the first CUDA device; the latter is skipped, with the reason, where there is none."""
    wp.init()
    missing = pytest.mark.skipif(not wp.get_cuda_devices(), reason="Warp finds no CUDA device")
    return ["cpu", pytest.param("cuda:0", marks=missing)]


@pytest.fixture(scope="session", params=devices())
def device(request):
    return request.param


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Settled piles are made once a session, in a folder of its own, never in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
