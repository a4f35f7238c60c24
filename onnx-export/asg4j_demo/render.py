# SPDX-License-Identifier: Apache-2.0
"""Renders pictures of one object on a background, any crop at any zoom, many at once.

A picture is the unit square, y down. Objects live in local coordinates: centre 0, unit radius, y up. Every shape
is a signed distance (negative inside, roughly in local units) and a shade; light falls from the upper left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F

from . import textures
from .captions import BACKGROUNDS, COLOURS, EMPTY_SUBJECTS, SHAPES, SUBJECTS, Subject

NATIVE = 128

ALBEDO = torch.tensor([
    [0.86, 0.10, 0.10],  # red
    [0.98, 0.47, 0.04],  # orange
    [0.98, 0.86, 0.10],  # yellow
    [0.13, 0.62, 0.22],  # green
    [0.12, 0.28, 0.86],  # blue
    [0.50, 0.18, 0.72],  # purple
    [0.98, 0.47, 0.68],  # pink
    [0.95, 0.95, 0.94],  # white
])
_LIGHT = (-0.46, 0.56, 0.69)
_SHADOW = torch.tensor([0.42, 0.36, 0.30, 0.0, 0.0, 0.46, 0.42, 0.34])  # by background; none in sky and night
_SURFACE = len(BACKGROUNDS)  # index of the texture on objects


@dataclass
class Scenes:
    """A batch of scenes; every field has one row a scene."""

    shape: torch.Tensor  # -1: no object
    colour: torch.Tensor
    background: torch.Tensor
    centre: torch.Tensor  # [n, 2] x, y in picture widths
    radius: torch.Tensor
    rotation: torch.Tensor
    form: torch.Tensor  # [n, 2] in 0..1: proportions of the shape
    offset: torch.Tensor  # [n, 2] in 0..1: where the background's window lies
    flip: torch.Tensor  # bool: background mirrored
    surface: torch.Tensor  # [n, 2] in 0..1: where the object's surface texture lies
    tint: torch.Tensor  # [n, 3] multiplies the background
    fade: torch.Tensor  # vertical gradient of the background

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, index) -> Scenes:
        return Scenes(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def subject(self, i: int) -> Subject:
        return Subject(int(self.shape[i]), int(self.colour[i]), int(self.background[i]))


def sample_scenes(generator: torch.Generator, subjects: Sequence[Subject]) -> Scenes:
    """A random scene for each of the subjects."""
    n = len(subjects)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    background = torch.tensor([s.background for s in subjects])
    return Scenes(
        shape=torch.tensor([s.shape for s in subjects]),
        colour=torch.tensor([s.colour for s in subjects]),
        background=background,
        centre=uniform(0.25, 0.75, 2),
        radius=uniform(0.125, 0.30),
        rotation=uniform(-0.30, 0.30),
        form=uniform(0.0, 1.0, 2),
        offset=uniform(0.0, 1.0, 2),
        flip=uniform(0.0, 1.0) < 0.5,
        surface=uniform(0.0, 1.0, 2),
        tint=uniform(0.93, 1.07, 1) * uniform(0.985, 1.015, 3),
        fade=uniform(0.5, 1.0) * torch.where(background == BACKGROUNDS.index("sky"), 0.16, 0.07),
    )


def sample_subjects(generator: torch.Generator, count: int, empty_share: float = 0.08) -> list[Subject]:
    """Random subjects, a share of them backgrounds alone."""
    is_empty = torch.rand(count, generator=generator) < empty_share
    pick = torch.rand(count, generator=generator)
    return [
        EMPTY_SUBJECTS[int(p * len(EMPTY_SUBJECTS))] if e else SUBJECTS[int(p * len(SUBJECTS))]
        for e, p in zip(is_empty.tolist(), pick.tolist())
    ]


# ---------------------------------------------------------------------------------------------- shapes
# Each takes x, y [n, h, w] in local coordinates (already rotated), form [n, 2] and whether the shade is wanted;
# returns the distance and, if wanted, (shade, highlight): shade multiplies the colour, highlight is added.


def _lambert(nx: torch.Tensor, ny: torch.Tensor, nz: torch.Tensor, gloss: float = 0.45) -> tuple[torch.Tensor, torch.Tensor]:
    light = (nx * _LIGHT[0] + ny * _LIGHT[1] + nz * _LIGHT[2]).clamp(min=0)
    half = (nx * -0.25 + ny * 0.31 + nz * 0.918).clamp(min=0)
    return 0.42 + 0.68 * light, gloss * half**28


def _ball(x, y, form, shaded):
    r2 = x * x + y * y
    d = r2.sqrt() - 1.0
    if not shaded:
        return d, None
    return d, _lambert(x, y, (1.0 - r2).clamp(min=0.0).sqrt(), gloss=0.75)


def _cube(x, y, form, shaded):
    yaw = (0.42 + 0.72 * form[:, 0])[:, None, None]
    pitch = (0.48 + 0.20 * form[:, 1])[:, None, None]
    half = 0.60
    c, s, sp, cp = yaw.cos(), yaw.sin(), pitch.sin(), pitch.cos()
    ax, ay = c, -s * sp  # the projections of the cube's three edges
    bx, by = -s, -c * sp
    up = half * cp

    def face(px, py, ux, uy, vx, vy):
        det = ux * vy - uy * vx
        u = (px * vy - py * vx) / det
        v = (ux * py - uy * px) / det
        # distance across each pair of edges: |u| - half, scaled by the face's height over that edge
        du = (u.abs() - half) * det.abs() / (vx * vx + vy * vy).sqrt()
        dv = (v.abs() - half) * det.abs() / (ux * ux + uy * uy).sqrt()
        return torch.maximum(du, dv), v

    zero = torch.zeros_like(ax)
    top, _ = face(x, y - up, ax, ay, bx, by)
    # the two faces towards the viewer
    left, hl = face(x + half * bx * -1, y + half * by * -1, ax, ay, zero, cp)
    right, hr = face(x - half * ax, y - half * ay, bx, by, zero, cp)
    d = torch.minimum(top, torch.minimum(left, right))
    if not shaded:
        return d, None
    soft = 0.03
    weights = torch.softmax(torch.stack([-top, -left, -right]) / soft, 0)
    tone_a = 0.78 + 0.08 * hl
    tone_b = 0.56 + 0.08 * hr
    shade = weights[0] * 1.10 + weights[1] * tone_a + weights[2] * tone_b
    order = torch.stack([top, left, right]).topk(2, dim=0, largest=False).values
    edge = torch.exp(-(((order[1] - order[0]) / 0.05) ** 2))
    return d, (shade, 0.16 * edge)


def _star(x, y, form, shaded):
    inner = (0.46 + 0.10 * form[:, 0])[:, None, None]
    sector = 2 * math.pi / 5
    angle = torch.atan2(x, y)
    folded = torch.remainder(angle + sector / 2, sector) - sector / 2
    r = (x * x + y * y).sqrt()
    px, py = r * folded.cos(), r * folded.sin().abs()
    tip = 1.06
    qx, qy = inner * math.cos(sector / 2), inner * math.sin(sector / 2)
    ex, ey = qx - tip, qy
    length = (ex * ex + ey * ey).sqrt()
    nx, ny = ey / length, -ex / length  # outward normal of the edge from tip to notch
    d = (px - tip) * nx + py * ny
    if not shaded:
        return d, None
    # A bevelled star: each half arm is one plane; its outward normal turned back into the picture's frame.
    side = torch.sign(folded)
    base = angle - folded
    ox = nx * base.sin() + side * ny * base.cos()
    oy = nx * base.cos() - side * ny * base.sin()
    slope = 0.62
    ridge = (py / 0.05).clamp(max=1.0) * (1 - torch.exp(-((r / 0.08) ** 2)))  # rounds off the ridges
    norm = 1.0 / math.sqrt(1 + slope * slope)
    return d, _lambert(ox * slope * norm * ridge, oy * slope * norm * ridge, torch.full_like(ox, norm), gloss=0.3)


def _cone(x, y, form, shaded):
    wide = (0.66 + 0.14 * form[:, 0])[:, None, None]
    deep = 0.20
    base = -0.66
    top = 0.98
    slope = wide / (top - base)
    run = (1 + slope * slope).sqrt()
    sides = (x.abs() - (top - y) * slope) / run
    body = torch.maximum(sides, base - y)
    ex, ey = x / wide, (y - base) / deep
    k = (ex * ex + ey * ey).sqrt()
    foot = (k - 1.0) * deep * (k / (ex * ex + (ey * ey) / (deep / 0.7) ** 2 + 1e-6).sqrt()).clamp(max=3.0)
    d = torch.minimum(body, foot)
    if not shaded:
        return d, None
    half = ((top - y) * slope).clamp(min=0.03)
    nx = (x / half).clamp(-1.0, 1.0)
    return d, _lambert(nx * 0.92, 0.30 + 0 * nx, (1.0 - nx * nx).clamp(min=0.0).sqrt() * 0.92, gloss=0.35)


def _heart(x, y, form, shaded):
    stretch = (0.60 - 0.05 * form[:, 0])[:, None, None]
    px, py = x.abs() * stretch, y * 0.58 + 0.55
    upper = ((px - 0.25) ** 2 + (py - 0.75) ** 2).sqrt() - math.sqrt(2) / 4
    m = 0.5 * (px + py).clamp(min=0)
    lower = torch.minimum(px**2 + (py - 1) ** 2, (px - m) ** 2 + (py - m) ** 2).sqrt() * torch.sign(px - py)
    d = torch.where(px + py > 1, upper, lower) / 0.58
    if not shaded:
        return d, None
    # A puffed heart: a bowl around each lobe, melting into a keel below; flat where the lobes meet.
    lobe = torch.sigmoid((y + 0.05) * 5)
    apart = (x.abs() / 0.30).clamp(max=1.0)
    nx = torch.sign(x) * (x.abs() - 0.43) / 0.60 * lobe * apart * apart + x * 0.8 * (1 - lobe)
    ny = (y - 0.30) / 0.66 * lobe + (y + 0.15) * 0.5 * (1 - lobe)
    rim = 1.0 + 0.5 * torch.exp(d.clamp(max=0) / 0.12)
    nx, ny = nx * rim, ny * rim
    norm = (nx * nx + ny * ny + 0.55).sqrt()
    return d, _lambert(nx / norm, ny / norm, 0.742 / norm, gloss=0.55)


def _ring(x, y, form, shaded):
    squeeze = (1.0 - 0.22 * form[:, 1])[:, None, None]
    tube = (0.23 + 0.07 * form[:, 0])[:, None, None]
    y = y / squeeze
    r = (x * x + y * y).sqrt().clamp(min=1e-4)
    q = (r - (1.0 - tube)) / tube
    d = (q.abs() - 1.0) * tube
    if not shaded:
        return d, None
    q = q.clamp(-1, 1)
    return d, _lambert(q * x / r, q * y / r, (1 - q * q).clamp(min=0).sqrt(), gloss=0.5)


def _flower(x, y, form, shaded):
    petals = 5 + (form[:, 0] * 2.999).floor()[:, None, None]
    sector = 2 * math.pi / petals
    angle = torch.atan2(x, y)
    folded = torch.remainder(angle + sector / 2, sector) - sector / 2
    r = (x * x + y * y).sqrt()
    px, py = r * folded.cos(), r * folded.sin().abs()
    long, wide, mid = 0.43, 0.60 * (sector / 2).sin() + 0.045, 0.57
    k = (((px - mid) / long) ** 2 + (py / wide) ** 2).sqrt()
    petal = (k - 1) * 0.34
    d = torch.minimum(petal, r - 0.36)
    if not shaded:
        return d, None
    tone = 0.72 + 0.34 * ((r - 0.2) / 0.8).clamp(0, 1) - 0.22 * (py / wide).clamp(0, 1.2) ** 2
    vein = 0.06 * torch.cos(folded * petals * 3.0) * (r > 0.3)
    light = 1.0 + 0.10 * (y - x)
    return d, ((tone + vein) * light, torch.zeros_like(r))


def _flower_heart(x, y) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed distance and shade of the disc in a flower's middle."""
    r = (x * x + y * y).sqrt()
    return r - 0.25, 1.0 + 0.35 * (y - x) - 0.6 * r * r / 0.0625 * 0.35


_SHAPES: tuple[Callable, ...] = (_ball, _cube, _star, _cone, _heart, _ring, _flower)
_ROTATES = torch.tensor([0.0, 0.0, 1.0, 0.45, 0.7, 0.8, 1.0])
_MIDDLE = torch.tensor([0.98, 0.78, 0.16])
_MIDDLE_DARK = torch.tensor([0.45, 0.24, 0.08])


# -------------------------------------------------------------------------------------------- rendering


def _window(level: torch.Tensor, row: int, x0: float, y0: float, width: float, out: tuple[int, int]) -> torch.Tensor:
    """[3, h, w]: the window at (x0, y0) of the given width (all in picture widths) of one texture."""
    n = level.shape[-1]
    scale = n / textures.TILE
    h, w = out
    height = width * h / w
    left, top = x0 * scale, y0 * scale
    l0, t0 = max(0, int(left) - 1), max(0, int(top) - 1)
    r0, b0 = min(n, int(left + width * scale) + 3), min(n, int(top + height * scale) + 3)
    part = level[row : row + 1, :, t0:b0, l0:r0]
    pw, ph = r0 - l0, b0 - t0
    theta = torch.tensor([[
        [width * scale / pw, 0.0, (2 * (left - l0) + width * scale) / pw - 1],
        [0.0, height * scale / ph, (2 * (top - t0) + height * scale) / ph - 1],
    ]])
    return F.grid_sample(part, F.affine_grid(theta, [1, 3, h, w], align_corners=False), "bilinear", "border", False)[0]


def _local(scenes: Scenes, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture coordinates to the rotated local coordinates of each scene's object."""
    radius = scenes.radius[:, None, None]
    lx = (x - scenes.centre[:, 0, None, None]) / radius
    ly = (scenes.centre[:, 1, None, None] - y) / radius
    turn = scenes.rotation * _ROTATES[scenes.shape.clamp(min=0)]
    c, s = turn.cos()[:, None, None], turn.sin()[:, None, None]
    return c * lx + s * ly, c * ly - s * lx


def render(
    scenes: Scenes,
    size: int = NATIVE,
    zoom: torch.Tensor | None = None,
    left: torch.Tensor | None = None,
    top: torch.Tensor | None = None,
    more: Sequence[Scenes] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures [n, 3, size, size] in 0..1 and the share of each pixel that the object covers [n, size, size].

    With ``zoom`` z the picture is size*z pixels wide and (left, top) is the crop's corner in those pixels. The objects
    of ``more`` are drawn over those of ``scenes``, and cover too.
    """
    n = len(scenes)
    zoom = torch.ones(n) if zoom is None else zoom
    left = torch.zeros(n) if left is None else left
    top = torch.zeros(n) if top is None else top
    width = 1.0 / zoom
    x0, y0 = left / (size * zoom), top / (size * zoom)
    steps = (torch.arange(size) + 0.5) / size
    x = (x0[:, None] + steps[None] * width[:, None])[:, None, :]
    y = (y0[:, None] + steps[None] * width[:, None])[:, :, None]
    pixel = 1.0 / (size * zoom)

    # Background: a window of the texture whose density fits.
    density = (size * zoom).tolist()
    choice = [min(range(len(textures.DENSITIES)), key=lambda k: abs(math.log(textures.DENSITIES[k] / d))) for d in density]
    levels = textures.levels()
    room = textures.TILE - 1.0
    image = torch.empty(n, 3, size, size)
    for i in range(n):
        ox, oy = (scenes.offset[i] * room).tolist()
        xi = float(x0[i])
        if bool(scenes.flip[i]):
            xi = 1.0 - xi - float(width[i])
        picture = _window(levels[choice[i]], int(scenes.background[i]), ox + xi, oy + float(y0[i]), float(width[i]), (size, size))
        image[i] = picture.flip(-1) if bool(scenes.flip[i]) else picture
    image *= scenes.tint[:, :, None, None] * (1.0 + scenes.fade[:, None, None] * (0.5 - y) * 2)[:, None]

    cover = torch.zeros(n, size, size)
    reach = pixel * size
    for layer in (scenes, *more):
        for shape_index in range(len(SHAPES)):
            rows = (layer.shape == shape_index).nonzero()[:, 0]
            if not len(rows):
                continue
            part = layer[rows]
            function = _SHAPES[shape_index]
            densities = [choice[i] for i in rows.tolist()]
            image[rows], alpha = _draw(part, function, shape_index, image[rows], x[rows], y[rows], pixel[rows], reach[rows], densities)
            cover[rows] = torch.maximum(cover[rows], alpha)
    return image.clamp_(0.0, 1.0), cover


def _draw(part, function, shape_index, image, x, y, pixel, width, choice):
    n, _, size, _ = image.shape
    # Soft shadow, at a quarter of the resolution.
    coarse = max(16, size // 4)
    cx = F.interpolate(x, size=coarse, mode="linear", align_corners=False)
    cy = F.interpolate(y.transpose(1, 2), size=coarse, mode="linear", align_corners=False).transpose(1, 2)
    radius = part.radius[:, None, None]
    sx, sy = _local(part, cx - 0.15 * radius, cy - 0.17 * radius)
    d, _ = function(sx, sy, part.form, False)
    t = ((0.16 - d) / 0.34).clamp(0, 1)
    shadow = t * t * (3 - 2 * t) * _SHADOW[part.background][:, None, None]
    image = image * (1 - F.interpolate(shadow[:, None], size=(size, size), mode="bilinear", align_corners=False))

    lx, ly = _local(part, x, y)
    d, (shade, highlight) = function(lx, ly, part.form, True)
    footprint = (pixel / part.radius)[:, None, None]
    alpha = (0.5 - d / (1.25 * footprint)).clamp(0, 1)
    levels = textures.levels()
    surface = torch.empty(n, 1, size, size)
    for i in range(n):
        ox, oy = (part.surface[i] * (textures.TILE - 1.0)).tolist()
        start = (float(x[i, 0, 0]), float(y[i, 0, 0]))
        surface[i] = _window(levels[choice[i]], _SURFACE, ox + start[0], oy + start[1], float(width[i]), (size, size))[:1]
    colour = ALBEDO[part.colour][:, :, None, None] * (shade * (1.0 + 0.22 * (surface[:, 0] - 0.5)))[:, None]
    if shape_index == SHAPES.index("flower"):
        disc, disc_shade = _flower_heart(lx, ly)
        amount = (0.5 - disc / (1.5 * footprint)).clamp(0, 1)[:, None]
        warm = (part.colour == COLOURS.index("yellow")) | (part.colour == COLOURS.index("orange"))
        tone = torch.where(warm[:, None], _MIDDLE_DARK[None], _MIDDLE[None])[:, :, None, None] * disc_shade[:, None]
        colour = colour * (1 - amount) + tone * amount
    rim = 1.0 - 0.30 * torch.exp(-((d / (0.05 + footprint)) ** 2))
    colour = colour * rim[:, None] + highlight[:, None]
    alpha4 = alpha[:, None]
    return image * (1 - alpha4) + colour * alpha4, alpha


def render_size(scenes: Scenes, width: int, height: int, more: Sequence[Scenes] = ()) -> tuple[torch.Tensor, torch.Tensor]:
    """As ``render``, for pictures [n, 3, height, width] of any shape.

    Lengths are in units of sqrt(width * height), so that a wide picture shows objects as large as those of a square one
    of its area: x goes from 0 to width / unit, y from 0 to height / unit.
    """
    if width == height:
        return render(scenes, width, more=more)
    unit, side = math.sqrt(width * height), max(width, height)
    shift = (side - torch.tensor([width, height])) / 2 / unit
    fits = (textures.TILE - side / unit) / (textures.TILE - 1.0)  # of the offsets, with the square around the picture
    if fits < 0:
        raise ValueError(f"{width}x{height} is wider than the textures: at most 1 to {textures.TILE**2:.2f}")
    layers = [
        replace(layer, centre=layer.centre + shift, offset=layer.offset * fits, flip=torch.zeros_like(layer.flip))
        for layer in (scenes, *more)
    ]
    image, cover = render(layers[0], side, torch.full((len(scenes),), unit / side), more=layers[1:])
    top, left = (side - height) // 2, (side - width) // 2
    return image[:, :, top : top + height, left : left + width], cover[:, top : top + height, left : left + width]


def sample_groups(
    generator: torch.Generator, subjects: Sequence[Subject], count: int, width: int = NATIVE, height: int = NATIVE
) -> list[Scenes]:
    """``count`` layers of scenes: each picture of ``width`` x ``height`` gets that many objects, apart from each other.

    Objects are between the smallest that a native picture has, in pixels, and what leaves room for the others.
    """
    unit = math.sqrt(width * height)
    scale = unit / NATIVE
    extent = torch.tensor([width, height]) / unit
    gap = 0.04 * max(1 / scale, 0.5)
    layers = [sample_scenes(generator, subjects) for _ in range(max(1, count))]
    if count == 0:
        return [replace(layers[0], shape=torch.full_like(layers[0].shape, -1))]
    smallest, largest = 0.125 / scale, min(0.30, 0.36 / math.sqrt(count))
    for i in range(len(subjects)):
        while True:
            radius = smallest + (max(largest, smallest) - smallest) * torch.rand(count, generator=generator)
            low = radius[:, None] * 0.9
            centre = low + (extent - 2 * low).clamp(min=0) * torch.rand(count, 2, generator=generator)
            apart = torch.cdist(centre, centre) - 1.08 * (radius[:, None] + radius[None]) - gap
            if bool((apart + 1e3 * torch.eye(count) > 0).all()):
                break
        for layer, r, c in zip(layers, radius, centre):
            layer.radius[i], layer.centre[i] = r, c
    return layers


def sample_crops(
    generator: torch.Generator, count: int, low: float = 1.4, high: float = 4.2, size: int = NATIVE
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random crops: zoom (uniform in its logarithm), left and top in pixels of the zoomed picture."""
    zoom = low * (high / low) ** torch.rand(count, generator=generator)
    zoom = (zoom * size / 8).round() * 8 / size  # the big picture is a whole number of latents
    room = size * (zoom - 1)
    left = (torch.rand(count, generator=generator) * (room + 1)).floor().clamp(max=room)
    top = (torch.rand(count, generator=generator) * (room + 1)).floor().clamp(max=room)
    return zoom, left, top


def contact_sheet(images: torch.Tensor, path: str, columns: int = 8, gap: int = 2) -> None:
    """Writes [n, 3, h, w] in 0..1 as one PNG."""
    from PIL import Image

    n, _, h, w = images.shape
    rows = -(-n // columns)
    sheet = torch.ones(3, rows * (h + gap), columns * (w + gap))
    for i in range(n):
        r, c = divmod(i, columns)
        sheet[:, r * (h + gap) : r * (h + gap) + h, c * (w + gap) : c * (w + gap) + w] = images[i].clamp(0, 1)
    Image.fromarray((sheet.permute(1, 2, 0) * 255).round().byte().numpy()).save(path)
