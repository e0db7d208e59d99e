"""A scene seen from its camera: the ground, what stands on it lit by the sun and throwing shadows, or lit by night.

A camera looks along the horizon from some metres up. Things stand on level ground at a bearing and a distance; a column
of pixels is an azimuth and a row an elevation, so that shadows fall where the sun's azimuth and height put them.
"""

import numpy as np

from telltime.datasets._light import Light
from telltime.datasets._scenery import Scene, Thing
from telltime.datasets._sky import draw_sky, noise

_LAMP = np.array([1.30, 0.90, 0.45], np.float32)
_GROUNDS = {
    "grass": (0.16, 0.26, 0.09),
    "asphalt": (0.17, 0.17, 0.18),
    "sand": (0.50, 0.43, 0.31),
    "stone": (0.34, 0.32, 0.29),
    "water": (0.05, 0.09, 0.11),
}
_SNOW = np.array([0.80, 0.83, 0.88], np.float32)
_LEAVES = {
    "spring": (0.22, 0.34, 0.10),
    "summer": (0.11, 0.24, 0.07),
    "autumn": (0.40, 0.24, 0.07),
    "winter": (0.17, 0.15, 0.12),
}


class View:
    """A scene at a size in pixels: what does not change with the light is worked out once.

    Args:
        scene: what is seen.
        height, width: of the picture, pixels, at least 8 each.
    """

    def __init__(self, scene: Scene, height: int, width: int) -> None:
        self.scene, self.height, self.width = scene, height, width
        self.degrees = scene.field / width  # of a pixel
        self.sky_rows = int(np.clip(round(scene.horizon * height), 1, height - 1))
        self.bearing = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5) * scene.field
        self.azimuth = self.bearing + scene.heading
        self.sky_elevation = (self.sky_rows - 0.5 - np.arange(self.sky_rows, dtype=np.float32)) * self.degrees
        below = (np.arange(height - self.sky_rows, dtype=np.float32) + 0.5) * self.degrees
        distance = np.minimum(scene.mast / np.tan(np.radians(below)), 500.0)[:, None]
        turn = np.radians(self.azimuth)[None, :]
        self.east, self.north = distance * np.sin(turn), distance * np.cos(turn)
        rng = np.random.default_rng(scene.seed)
        grain = noise(rng, height - self.sky_rows, width, cells=24)
        border = scene.mast * rng.uniform(1.2, 5.0)
        share = np.clip((distance - border) / (0.2 * border), 0, 1)[..., None]
        self.water = share[..., 0] * (scene.far == "water") * np.ones((1, width), np.float32)
        near, far = (np.array(_GROUNDS[one], np.float32) for one in (scene.near, scene.far))
        self.ground = (near * (1 - share) + far * share) * (0.7 + 0.6 * grain[..., None])
        self.green = np.array([scene.near == "grass", scene.far == "grass"], np.float32)
        self.share = share
        ridge = noise(rng, 2, width, cells=5)[0] * scene.hills
        self.hill = self.sky_elevation[:, None] < ridge[None, :]

    def draw(self, light: Light, season: str, snow: bool, rng: np.random.Generator) -> np.ndarray:
        """The scene under a light.

        Args:
            light: of the moment.
            season: ``"spring"``, ``"summer"``, ``"autumn"`` or ``"winter"``.
            snow: whether it lies on the ground.
            rng: of clouds, cars, and which windows are lit.

        Returns:
            float32 ``[height, width, 3]``, linear, in units of ``light.level``.
        """
        picture = np.empty((self.height, self.width, 3), np.float32)
        picture[: self.sky_rows] = draw_sky(self.azimuth, self.sky_elevation, light, rng)
        glow = light.horizon.astype(np.float32)
        slope = (0.18 * light.ambient + 0.05 * light.direct).astype(np.float32) + 0.35 * glow
        picture[: self.sky_rows][self.hill] = slope
        picture[self.sky_rows :] = self._ground(light, season, snow)
        self._cars(picture, light, rng)
        draw = {"block": self._block, "tree": self._tree, "lamp": self._lamp}
        for thing in self.scene.things:
            draw[thing.kind](picture, thing, light, season, rng)
        if light.fog > 0.02:
            veil = light.fog * (0.85 - 0.5 * np.linspace(-1, 1, self.height, dtype=np.float32)[:, None, None] ** 2)
            picture = picture * (1 - veil) + glow * veil
        return picture

    def _ground(self, light: Light, season: str, snow: bool) -> np.ndarray:
        colour = self.ground
        green = self.green[0] * (1 - self.share) + self.green[1] * self.share
        if season in ("autumn", "winter"):
            colour = colour * (1 - green) + colour * np.array([1.25, 0.9, 0.9], np.float32) * green
        if snow:
            colour = colour * 0.15 + 0.85 * _SNOW * (1 - 0.9 * self.water[..., None])
        sun = (light.direct * max(0.0, np.sin(np.radians(light.elevation)))).astype(np.float32)
        lit = light.ambient.astype(np.float32) * 0.9 + sun * (1 - self._shadow(light))[..., None]
        lit = lit + self._pools(light)[..., None] * _LAMP
        ground = colour * lit
        if self.water.any():
            facing = np.cos(np.radians((self.azimuth - light.azimuth) / 2)) ** 60
            glitter = facing[None, :, None] * (0.5 * light.direct + 0.4 * light.glow * (light.elevation > -4))
            mirror = 0.55 * light.horizon + 0.15 * light.zenith + glitter
            water = self.water[..., None]
            ground = ground * (1 - 0.85 * water) + mirror.astype(np.float32) * water * (0.6 + self.ground[..., 1:2])
        return ground

    def _shadow(self, light: Light) -> np.ndarray:
        """How much of the sun is kept from every pixel of ground, 0 to 1."""
        kept = np.zeros_like(self.east)
        if light.elevation < 0.5 or light.direct.max() < 0.05:
            return kept
        away = np.radians(light.azimuth + 180.0)
        step_east, step_north = np.sin(away), np.cos(away)
        per_metre = min(1 / np.tan(np.radians(light.elevation)), 15.0)
        for thing in self.scene.things:
            at = np.radians(self.scene.heading + thing.bearing)
            east, north = self.east - thing.distance * np.sin(at), self.north - thing.distance * np.cos(at)
            along = east * step_east + north * step_north
            across = np.abs(east * step_north - north * step_east)
            half, soft = thing.width / 2, 0.15 * thing.width + 0.2
            end = thing.height * per_metre
            inside = np.clip((half - across) / soft + 0.5, 0, 1) * (along > -half) * np.clip((end - along) / 2, 0, 1)
            np.maximum(kept, inside, out=kept)
        return kept

    def _pools(self, light: Light) -> np.ndarray:
        """Lamplight on the ground, in units of ``light.level``."""
        pools = np.zeros_like(self.east)
        if not light.dark:
            return pools
        for thing in self.scene.things:
            if thing.kind == "lamp":
                at = np.radians(self.scene.heading + thing.bearing)
                east, north = self.east - thing.distance * np.sin(at), self.north - thing.distance * np.cos(at)
                pools += np.exp(-(east * east + north * north) / (2 * thing.height**2))
        return pools * np.float32(1.2 / light.level)

    def _box(self, thing: Thing) -> tuple[int, int, int, int]:
        """Rows and columns a thing covers, half open, not yet cut to the picture."""
        half = np.degrees(np.arctan(thing.width / 2 / thing.distance))
        left = round((thing.bearing - half) / self.degrees + self.width / 2)
        right = max(left + 1, round((thing.bearing + half) / self.degrees + self.width / 2))
        rise = np.degrees(np.arctan((thing.height - self.scene.mast) / thing.distance)) / self.degrees
        drop = np.degrees(np.arctan(self.scene.mast / thing.distance)) / self.degrees
        top = round(self.sky_rows - rise)
        return top, max(top + 1, round(self.sky_rows + drop)), left, right

    def _block(self, picture: np.ndarray, thing: Thing, light: Light, season: str, rng: np.random.Generator) -> None:
        top, bottom, left, right = self._box(thing)
        rows, columns = slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
        target = picture[rows, columns]
        if not target.size:
            return
        towards = self.scene.heading + thing.bearing + 180.0
        corner = left + (right - left) * (90.0 - thing.turn) / 90.0
        column = np.arange(columns.start, columns.start + target.shape[1])
        on_left = (column < corner)[None, :, None]
        faces = [self._facade(light, towards + thing.turn), self._facade(light, towards + thing.turn - 90.0)]
        wall = np.array(thing.colour, np.float32)
        town = _LAMP * np.float32(0.05 / light.level) if light.dark else 0.0
        shade = np.where(on_left, wall * (faces[0] + town), wall * (faces[1] + town))
        across, down = max(3, round(thing.width / 3.2)), max(2, round(thing.height / 3.2))
        u = (column + 0.5 - left) / (right - left) * across
        row = np.arange(rows.start, rows.start + target.shape[0])
        v = (row + 0.5 - top) / (bottom - top) * down
        pane = ((np.abs(u % 1 - 0.5) < 0.24)[None, :] & (np.abs(v % 1 - 0.5) < 0.26)[:, None])[..., None]
        fixed = np.random.default_rng(thing.seed)
        habits = fixed.random((down, across)) * 0.8 + 0.2 * rng.random((down, across))
        tint = fixed.uniform(0.5, 1.6, (down, across, 1)) * np.array([1.3, 0.95, 0.55])
        burning = (habits < 0.75 * light.awake)[..., None] * tint / light.level
        where = np.ix_(np.clip(v.astype(int), 0, down - 1), np.clip(u.astype(int), 0, across - 1))
        glass = 0.10 * light.ambient.astype(np.float32) + burning[where].astype(np.float32)
        target[...] = np.where(pane, glass, shade)

    def _facade(self, light: Light, normal: float) -> np.ndarray:
        up, turn = np.radians(light.elevation), np.radians(light.azimuth - normal)
        facing = max(0.0, float(np.cos(up) * np.cos(turn))) * (light.elevation > -0.5)
        side = 0.25 * (1 + np.cos(turn)) * np.exp(-abs(light.elevation) / 8.0)
        return (0.6 * light.ambient + facing * light.direct + side * 0.25 * light.glow).astype(np.float32)

    def _tree(self, picture: np.ndarray, thing: Thing, light: Light, season: str, rng: np.random.Generator) -> None:
        top, bottom, left, right = self._box(thing)
        rows, columns = slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
        target = picture[rows, columns]
        if not target.size:
            return
        u = (np.arange(columns.start, columns.start + target.shape[1]) + 0.5 - left) / (right - left) * 2 - 1
        v = (np.arange(rows.start, rows.start + target.shape[0]) + 0.5 - top) / (bottom - top)
        leaf = noise(np.random.default_rng(thing.seed), target.shape[0], target.shape[1], cells=9)
        crown = u[None, :] ** 2 + ((v[:, None] - 0.38) / 0.40) ** 2 < 0.55 + 0.7 * leaf
        if season == "winter":
            crown &= leaf > 0.62
        trunk = (np.abs(u) < 0.09)[None, :] & (v > 0.5)[:, None]
        relative = np.radians(light.azimuth - self.scene.heading - thing.bearing)
        side = np.clip(0.5 - 0.5 * np.cos(relative) + 0.5 * np.sin(relative) * u, 0, 1)[None, :, None]
        high = (1.1 - 0.6 * v)[:, None, None] * (0.5 + leaf[..., None])
        sun = light.direct.astype(np.float32) * float(light.elevation > 0)
        shade = np.array(_LEAVES[season], np.float32) * high * (0.8 * light.ambient.astype(np.float32) + side * sun)
        target[...] = np.where(crown[..., None], shade, target)
        target[trunk & ~crown] = (np.array([0.10, 0.07, 0.05]) * light.ambient).astype(np.float32)

    def _lamp(self, picture: np.ndarray, thing: Thing, light: Light, season: str, rng: np.random.Generator) -> None:
        top, bottom, left, right = self._box(thing)
        pole = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        pole[...] = (np.array(thing.colour) * light.ambient).astype(np.float32)
        if not light.dark:
            return
        size = max(1.0, 0.45 / thing.distance / np.radians(self.degrees))
        reach = int(size * 12)
        y0, x0 = top, (left + right) // 2
        ys = np.arange(max(0, y0 - reach), max(0, min(self.height, y0 + reach + 1)))
        xs = np.arange(max(0, x0 - reach), max(0, min(self.width, x0 + reach + 1)))
        if len(ys) and len(xs):
            squared = ((ys - y0)[:, None] ** 2 + (xs - x0)[None, :] ** 2) / size**2
            head = 12.0 * np.exp(-squared) + 0.35 * np.exp(-np.sqrt(squared) / 2.5)
            part = picture[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
            part += head[..., None].astype(np.float32) * _LAMP / np.float32(light.level)

    def _cars(self, picture: np.ndarray, light: Light, rng: np.random.Generator) -> None:
        if self.scene.near not in ("asphalt", "stone"):
            return
        for _ in range(int(rng.poisson(5 * light.awake))):
            distance = float(rng.uniform(1.2, 5.0)) * self.scene.mast
            row = self.sky_rows + round(np.degrees(np.arctan(self.scene.mast / distance)) / self.degrees)
            tall = max(2, round(np.degrees(1.4 / distance) / self.degrees))
            x, wide = int(rng.integers(self.width)), max(3, tall * 2)
            colour = rng.uniform(0.05, 0.7, 3) * (light.ambient + 0.3 * light.direct)
            picture[max(row - tall, 0) : row, x : x + wide] = colour.astype(np.float32)
            if light.dark:
                white = rng.uniform() < 0.5
                lamp = np.array([1.0, 0.95, 0.8] if white else [1.0, 0.08, 0.05], np.float32)
                spot = picture[max(row - tall // 2 - 1, 0) : row, x : x + max(2, wide // 3)]
                spot[...] = lamp * np.float32((8.0 if white else 2.5) / light.level)
