"""Shapes, workspaces and numbers at which the ops of the linear head are compared with the truth."""

from __future__ import annotations

# N around a block of 16 and 128; D ragged; V = 507 is no multiple of anything, so a lost column costs 1/507.
SHAPES = ((1, 8, 5), (37, 33, 507), (130, 64, 1100), (16, 20, 4099))
# Just enough for one block of each shape above: many tiles, ragged ones last; and the default: one tile.
SMALL, DEFAULT = 400_000, None
OPTIONS = {
    "plain": {},
    "scaled": {"logit_scale": 0.4},
    "softcap": {"logit_softcap": 2.5, "logit_scale": 1.5},
}
