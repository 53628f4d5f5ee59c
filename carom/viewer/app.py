"""The viewer: one thread draws what the controls ask for; the controls only store requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..files.run_folder import LoadedRun, load_run
from .curves import CurveChart, plain, square
from .playback import Playback
from .scene import Scene
from .server import start_server, stop_server

__all__ = ["Viewer", "view"]

_FRAME = 1.0 / 30.0
"""Time between two pictures while playing [s]."""
_SPEEDS = {"0.1 x": 0.1, "0.25 x": 0.25, "0.5 x": 0.5, "1 x": 1.0, "2 x": 2.0, "5 x": 5.0}
_OVERLAID, _SIDE = "overlaid", "side by side"


def view(*paths: str | Path, host: str = "127.0.0.1", port: int = 8080) -> Viewer:
    """Open run folders or recordings (.npz) in one viewer, which serves until ``stop``.

    Args:
        paths: Run folders and recordings to show together.
        host: Address to listen at; with one other than the loopback's, others can see the run and move the controls.
        port: Its port.

    Raises:
        RunFolderError: A folder that is not whole, from another version, or does not fit.
        RecordingError: A recording that is missing or damaged.
        ViewerError: viser is not installed, or the address cannot be taken.
    """
    return Viewer([load_run(path) for path in paths], host=host, port=port)


class Viewer:
    """A running viewer.

    Args:
        runs: Runs to show, from ``load_run``; at least one.
        host: Address to listen at.
        port: Its port.
    """

    def __init__(self, runs: Sequence[LoadedRun], *, host: str = "127.0.0.1", port: int = 8080):
        self._server = start_server(host, port)
        self.url = f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{port}"
        """Address to open in the browser."""
        self._lock, self._wake, self._stopping = threading.Lock(), threading.Event(), False
        self._drawn = threading.Event()
        self._fault: BaseException | None = None
        self.scene = Scene(self._server, runs)
        self.playback = Playback(self.scene.duration)
        self._stale = True
        self._controls()
        self._thread = threading.Thread(target=self._run, name="carom viewer", daemon=True)
        self._thread.start()
        self._drawn.wait()

    def wait(self) -> None:
        """Until ``stop``; an error of the drawing thread is raised here."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.2)
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """End the viewer and its server."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        stop_server(self._server)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _controls(self) -> None:
        gui, scene = self._server.gui, self.scene
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        step = min(view.recording.step_size for view in scene.views)
        self._time: Any = gui.add_slider("Time [s]", 0.0, scene.duration, step, 0.0)
        self._play = gui.add_button("Play")
        self._speed = gui.add_dropdown("Speed", tuple(_SPEEDS), initial_value="1 x")
        self._world = gui.add_slider("World", 0, max(scene.worlds - 1, 1), 1, 0, visible=scene.worlds > 1)
        several = len(scene.views) > 1
        self._layout = gui.add_dropdown("Recordings", (_OVERLAID, _SIDE), initial_value=_OVERLAID, visible=several)
        self._front = gui.add_dropdown("In front", tuple(scene.titles), initial_value=scene.titles[0], visible=several)
        self._forces = gui.add_checkbox("Contact forces", not several)
        arrows = any(view.entry.way_points is not None for view in scene.views)
        self._gradients = gui.add_checkbox("Gradients (arrows downhill)", True, visible=arrows)
        self._status = gui.add_markdown("")
        drawn = [i for i, view in enumerate(scene.views) if view.entry.curve is not None]
        self._curves = None
        if drawn:
            self._curves = CurveChart(
                self._server, [scene.titles[i] for i in drawn], [scene.tints[i] for i in drawn],
                [np.asarray(scene.views[i].entry.curve) for i in drawn],
            )  # fmt: skip
            self._on(self._curves.cursor, lambda value: None)
        self._slider_time = 0.0
        self._on(self._time, self._seek)
        self._on(self._speed, lambda value: setattr(self.playback, "speed", _SPEEDS[value]))
        for handle in (self._world, self._layout, self._front, self._forces, self._gradients):
            self._on(handle, lambda value: None)
        self._play.on_click(lambda _: self._note(self._toggle))
        self._cursor_shown: float | None = None

    def _on(self, handle: Any, note: Callable[[Any], None]) -> None:
        """Take note of what a client does with a control; what the viewer itself sets is no news."""

        def updated(event: Any) -> None:
            if event.client_id is not None:
                self._note(lambda: note(event.target.value))

        handle.on_update(updated)

    def _note(self, change: Callable[[], None]) -> None:
        with self._lock:
            change()
            self._stale = True
        self._wake.set()

    def _seek(self, value: Any) -> None:
        self.playback.seek(float(value))
        self._slider_time = self.playback.time

    def _toggle(self) -> None:
        self.playback.playing = not self.playback.playing
        self._play.label = "Pause" if self.playback.playing else "Play"

    def _run(self) -> None:
        before = time.perf_counter()
        try:
            while not self._stopping:
                now = time.perf_counter()
                with self._lock:
                    self.playback.advance(now - before)
                    stale, self._stale = self._stale, False
                    moment = replace(self.playback)
                before = now
                if stale:
                    self._arrange()
                if stale or moment.playing:
                    self._draw(moment)
                self._drawn.set()
                spent = time.perf_counter() - now
                self._wake.wait(max(_FRAME - spent, 0.001) if self.playback.playing else None)
                self._wake.clear()
                if not self.playback.playing:
                    before = time.perf_counter()  # the time of a pause does not count
        except BaseException as error:
            self._fault = error
        finally:
            self._drawn.set()

    def _arrange(self) -> None:
        front = self.scene.titles.index(self._front.value)
        with self._server.atomic():
            self.scene.arrange(self._layout.value == _SIDE, front, self._forces.value, self._gradients.value)
        if self._curves is not None and self._curves.cursor.value != self._cursor_shown:
            self._cursor_shown = self._curves.cursor.value
            self._curves.move(self._cursor_shown)

    def _draw(self, moment: Playback) -> None:
        world = int(self._world.value)
        steps = [moment.step(view.recording.step_size, view.recording.steps) for view in self.scene.views]
        self.scene.show(steps, world)
        with self._lock:
            # also when it was paused meanwhile: the slider tells the time of the picture, unless a client has moved it
            if self._slider_time != moment.time == self.playback.time:
                self._time.value = self._slider_time = moment.time
        lines = [self._told(i, step, world) for i, step in enumerate(steps)] + self._arrow_legend()
        self._status.content = "  \n".join(lines)

    def _told(self, number: int, step: int, world: int) -> str:
        view, title = self.scene.views[number], plain(self.scene.titles[number])
        colored = len(self.scene.views) > 1 and (
            self._layout.value == _OVERLAID and self.scene.titles[number] != self._front.value
        )
        mark = f"{square(self.scene.tints[number])} " if colored else ""
        if not view.has_world(world):
            return f"{mark}**{title}**: has no world {world}"
        cost = "" if view.entry.cost is None else f", cost {view.entry.cost:.4g}"
        return f"{mark}**{title}**: step {step}, {view.contact_count(step, world)} contacts{cost}"

    def _arrow_legend(self) -> list[str]:
        """Legend of the gradients that are shown."""
        if not self._gradients.value:
            return []
        overlaid = self._layout.value == _OVERLAID
        seen = [
            view for i, view in enumerate(self.scene.views) if not overlaid or self.scene.titles[i] == self._front.value
        ]
        names = dict.fromkeys(name for view in seen for name in view.entry.gradients)
        marks = [f"{square(self.scene.styles[name].color)} {plain(name)}" for name in names]
        return [f"gradients: {', '.join(marks)}"] if marks else []
