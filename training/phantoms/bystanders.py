"""What is no mitochondrion: granules, droplets, vesicles, reticulum, Golgi, glycogen."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms.canvas import Canvas, Organelle
from training.phantoms.noise import FloatImage, bump, smooth_noise, soft_step
from training.phantoms.shapes import Window, blob, measure, walk


def place_granules(canvas: Canvas) -> None:
    """Dark bodies without cristae: lysosomes, dense-core granules, peroxisomes, lipofuscin."""
    rng = canvas.rng
    size = rng.uniform(80, 450)
    for _ in range(_number(canvas, rng.choice([0.0, 0.15, 0.5, 1.5], p=[0.2, 0.4, 0.25, 0.15]))):
        radius = 0.5 * canvas.px(size * float(np.exp(rng.normal(0, 0.35))))
        found = _site(canvas, radius)
        if found is None:
            continue
        window, depth, mask = found
        tone = canvas.style.membrane + rng.uniform(-0.15, 0.25)
        patches = rng.choice([0.0, 0.05, 0.15]) * smooth_noise(rng, depth.shape, max(3.0, 0.6 * radius))
        body = tone + patches + 0.5 * canvas.style.texture * smooth_noise(rng, depth.shape, 1.5)
        if rng.random() < 0.4:
            body += 0.25 * bump(depth, canvas.px(15), canvas.px(12))
        _blend(canvas, window, body, soft_step(depth, rng.uniform(0.5, 1.5)))
        canvas.claim(window, mask, Organelle.GRANULE)


def place_droplets(canvas: Canvas) -> None:
    """Lipid: round, smooth, evenly grey, dark or pale."""
    rng = canvas.rng
    if rng.random() < 0.6:
        return
    tone = canvas.style.cytoplasm + rng.choice([-0.35, -0.2, 0.1, 0.2]) + rng.normal(0, 0.04)
    size = rng.uniform(250, 900)
    for _ in range(_number(canvas, rng.uniform(0.05, 0.3))):
        radius = 0.5 * canvas.px(size * float(np.exp(rng.normal(0, 0.35))))
        found = _site(canvas, radius)
        if found is None:
            continue
        window, depth, mask = found
        body = tone + 0.01 * smooth_noise(rng, depth.shape, 2)
        body -= rng.uniform(0, 0.15) * bump(depth, 1, canvas.px(12))
        _blend(canvas, window, np.asarray(body, np.float32), soft_step(depth))
        canvas.claim(window, mask, Organelle.DROPLET)


def place_vacuoles(canvas: Canvas) -> None:
    """Pale bodies with one membrane: endosomes, vacuoles, some with vesicles inside."""
    rng = canvas.rng
    for _ in range(_number(canvas, rng.choice([0.05, 0.3, 0.8]))):
        radius = 0.5 * canvas.px(float(np.exp(rng.normal(np.log(260), 0.4))))
        found = _site(canvas, radius)
        if found is None:
            continue
        window, depth, mask = found
        body = canvas.style.cytoplasm + rng.uniform(-0.08, 0.25) + np.zeros(depth.shape, np.float32)
        body += 0.5 * canvas.style.texture * smooth_noise(rng, depth.shape, 2)
        if rng.random() < 0.3:
            rings = np.abs(smooth_noise(rng, depth.shape, max(3.0, canvas.px(45))))
            body -= 0.3 * bump(rings, 0.6, 0.2)
        width = max(0.7, canvas.px(9))
        body -= (body - canvas.style.membrane) * bump(depth, width, width) * rng.uniform(0.6, 1)
        _blend(canvas, window, body, soft_step(depth))
        canvas.claim(window, mask, Organelle.OUTSIDE)


def _number(canvas: Canvas, per_square_micron: float) -> int:
    """How many of something to try for, given how many lie in a square micrometre."""
    area = canvas.image.size * (canvas.style.pixel_size_nm / 1000) ** 2
    return min(int(canvas.rng.poisson(per_square_micron * area)), 120)


def _site(canvas: Canvas, radius: float) -> tuple[Window, FloatImage, NDArray[np.bool_]] | None:
    """A free place for a blob of `radius` pixels: its window, depth and mask."""
    rng = canvas.rng
    centre = rng.uniform((0, 0), canvas.shape)
    spine = blob(rng, centre, max(radius, 1.5), rng.choice([1.05, 1.3, 2.0]))
    window = spine.window(canvas.shape, 2)
    if window is None:
        return None
    depth = measure(spine, window).depth
    depth = depth + 0.08 * radius * smooth_noise(rng, depth.shape, max(3.0, radius))
    mask = depth > 0
    fits = mask & (canvas.kinds[window] == Organelle.CYTOPLASM) & (canvas.edge[window] > canvas.px(20))
    if not mask.any() or fits.sum() < 0.97 * mask.sum():
        return None
    return window, depth.astype(np.float32), mask


def _blend(canvas: Canvas, window: Window, body: FloatImage, opacity: FloatImage) -> None:
    # Mitochondria that touch keep their own pixels.
    opacity = np.where(canvas.kinds[window] == Organelle.MITOCHONDRION, 0, opacity)
    canvas.image[window] += opacity * (body - canvas.image[window])


def scatter_fine_structures(canvas: Canvas) -> None:
    """Reticulum, Golgi, vesicles and glycogen in the cytoplasm that is left."""
    free = (canvas.kinds == Organelle.CYTOPLASM) & (canvas.edge > canvas.px(25))
    depth = np.minimum(ndimage.distance_transform_edt(free), canvas.px(600)).astype(np.float32)
    room = soft_step(depth - canvas.px(8), 0.8)
    rng = canvas.rng
    if rng.random() < 0.8:
        _paint_reticulum(canvas, depth, room)
    if rng.random() < 0.35:
        _paint_wraps(canvas, depth)
    if rng.random() < 0.4:
        _paint_golgi(canvas, room)
    if rng.random() < 0.7:
        _paint_vesicles(canvas, room)
    if rng.random() < 0.3:
        _paint_glycogen(canvas, room)
    if rng.random() < 0.5:
        _paint_smudges(canvas, room)


def _paint_reticulum(canvas: Canvas, depth: FloatImage, room: FloatImage) -> None:
    """Paired membranes that wind through the cytoplasm, along contour lines of a random field."""
    rng = canvas.rng
    scale = canvas.px(rng.uniform(150, 500))
    terrain = smooth_noise(rng, canvas.shape, scale) + 0.5 * depth / (canvas.px(300) + 1)
    slope = np.hypot(*np.gradient(terrain)).astype(np.float32) + 1e-3
    spacing = rng.uniform(0.5, 2.0)
    level = (np.abs((terrain / spacing) % 1 - 0.5) * spacing).astype(np.float32)
    distance = level / slope
    gate = soft_step(smooth_noise(rng, canvas.shape, 1.5 * scale) - rng.uniform(-0.3, 1.2), 0.2)
    width, half = max(0.7, canvas.px(8)), canvas.px(rng.uniform(15, 35))
    strength = rng.uniform(0.3, 0.9) * gate * room * (slope > 0.15 / scale)
    canvas.image += soft_step(half - distance) * strength * rng.uniform(-0.05, 0.12)
    lines = bump(distance.astype(np.float32), half, width)
    canvas.image -= (canvas.image - canvas.style.membrane) * lines * strength


def _paint_wraps(canvas: Canvas, depth: FloatImage) -> None:
    """Cisternae that follow the outlines of organelles and cells."""
    rng = canvas.rng
    gate = soft_step(smooth_noise(rng, canvas.shape, canvas.px(400)) - rng.uniform(0, 1), 0.2)
    width, start = max(0.7, canvas.px(8)), canvas.px(rng.uniform(25, 80))
    for offset in (start, start + canvas.px(rng.uniform(25, 50))):
        line = bump(depth, offset, width) * gate * rng.uniform(0.4, 0.9)
        canvas.image -= (canvas.image - canvas.style.membrane) * line


def _paint_golgi(canvas: Canvas, room: FloatImage) -> None:
    """Stacks of flat cisternae."""
    rng = canvas.rng
    for _ in range(rng.integers(1, 4)):
        radius = canvas.px(rng.uniform(80, 180))
        centre = rng.uniform((0, 0), canvas.shape)
        spine = walk(rng, centre, rng.uniform(0, np.pi), canvas.px(rng.uniform(300, 900)), radius)
        window = spine.window(canvas.shape, 2)
        if window is None:
            continue
        field = measure(spine, window)
        period = max(3.0, canvas.px(rng.uniform(30, 55)))
        lines = bump(np.abs((field.depth / period) % 1 - 0.5) * period, 0, max(0.7, canvas.px(8)))
        gate = soft_step(field.depth, 2) * room[window] * rng.uniform(0.5, 0.9)
        gate *= soft_step(smooth_noise(rng, field.depth.shape, max(3.0, 2 * period)) + 0.6, 0.3)
        patch = canvas.image[window]
        patch -= (patch - canvas.style.membrane) * lines * gate


def _paint_vesicles(canvas: Canvas, room: FloatImage) -> None:
    """Small rings, strewn or in clusters, drawn by one convolution of points with a ring."""
    rng = canvas.rng
    diameter = canvas.px(rng.choice([45, 60, 100]))
    crowd = soft_step(
        smooth_noise(rng, canvas.shape, canvas.px(rng.uniform(200, 500))) - rng.uniform(0, 1.3), 0.3
    )
    density = crowd * rng.uniform(0.05, 0.35) / max(diameter, 2.0) ** 2
    points = (rng.random(canvas.shape, dtype=np.float32) < density * (room > 0.9)).astype(np.float32)
    ring = _ring(diameter / 2, max(0.7, canvas.px(8)), rng.uniform(-0.6, 0.4))
    canvas.image += rng.uniform(0.1, 0.35) * room * np.clip(_splat(points, ring), -1.3, 1.3)


def _ring(radius: float, width: float, core: float) -> FloatImage:
    """(k, k): minus one on the ring, `core` inside it."""
    reach = int(np.ceil(radius + 2 * width))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    distance = np.hypot(y, x)
    inside = soft_step(radius - width - distance)
    return np.asarray(core * inside - (1 - inside) * bump(distance, radius, width), np.float32)


def _splat(points: FloatImage, stamp: FloatImage) -> FloatImage:
    """Sum of `stamp` at each point of a sparse map."""
    reach = stamp.shape[0] // 2
    padded = np.zeros((points.shape[0] + 2 * reach, points.shape[1] + 2 * reach), np.float32)
    for y, x in np.argwhere(points > 0):
        padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1] += stamp
    return padded[reach : reach + points.shape[0], reach : reach + points.shape[1]]


def _paint_glycogen(canvas: Canvas, room: FloatImage) -> None:
    """Dark rosettes in clouds."""
    rng = canvas.rng
    crowd = smooth_noise(rng, canvas.shape, canvas.px(rng.uniform(150, 400))) - rng.uniform(0.3, 1.3)
    grains = smooth_noise(rng, canvas.shape, max(1.5, canvas.px(rng.uniform(20, 45))))
    dark = soft_step(crowd, 0.3) * soft_step(grains - rng.uniform(0.5, 1.3), 0.3) * room
    canvas.image -= dark * rng.uniform(0.15, 0.45)


def _paint_smudges(canvas: Canvas, room: FloatImage) -> None:
    """Dark fuzz: densities at synapses, membranes cut at a slant."""
    rng = canvas.rng
    clouds = smooth_noise(rng, canvas.shape, canvas.px(rng.uniform(80, 250)))
    near_edge = np.exp(-canvas.edge / canvas.px(rng.uniform(60, 250)))
    canvas.image -= rng.uniform(0.1, 0.3) * soft_step(clouds - 1.2, 0.4) * near_edge * np.sqrt(room)
