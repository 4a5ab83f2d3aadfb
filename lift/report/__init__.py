"""The common look of everything a run leaves to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.report.figure import check_formats, dark_svg, dress_axes, needs_log_scale, new_figure, write_figure
    from lift.report.page import write_page
    from lift.report.unmasking import Cell, Unmasking, check_unmasking_path, save_unmasking

__all__ = [
    "Cell",
    "Unmasking",
    "check_formats",
    "check_unmasking_path",
    "dark_svg",
    "dress_axes",
    "needs_log_scale",
    "new_figure",
    "save_unmasking",
    "write_figure",
    "write_page",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
