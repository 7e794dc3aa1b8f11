"""Drawing a scene: RGB images and exact instance maps, without a display."""

from __future__ import annotations

import cv2
import numpy as np

from uav_perception.simulation.camera import CameraPose, Pinhole
from uav_perception.simulation.mj import mujoco
from uav_perception.simulation.scene import Scene

_OPTICAL_TO_GL = np.diag([1.0, -1.0, -1.0])


class SceneRenderer:
    """Draws one scene with one image size. Use as a context manager, or call :meth:`close`.

    MuJoCo's own ``Renderer`` does the same, but maps segment ids in a Python loop over all geoms for every image, and
    smooths edges by multisampling, which costs more on a CPU than drawing larger and averaging.
    """

    def __init__(self, scene: Scene, width: int, height: int, supersampling: int = 2) -> None:
        """Open an OpenGL context.

        Args:
            scene: what to draw; built for images of at least ``supersampling`` times the size.
            width, height: size of the images [px].
            supersampling: images are drawn this many times larger and averaged; instance maps are not.

        Raises:
            ValueError: the scene was built for smaller images.
        """
        buffer = scene.model.vis.global_
        if width * supersampling > buffer.offwidth or height * supersampling > buffer.offheight:
            raise ValueError(
                f"The scene was built for images of {buffer.offwidth}x{buffer.offheight}, too small for "
                f"{width}x{height} supersampled {supersampling} times; give SceneBuilder the larger size."
            )
        self._scene, self._width, self._height, self._factor = scene, width, height, supersampling
        self._gl = mujoco.GLContext(width * supersampling, height * supersampling)
        self._gl.make_current()
        self._context = mujoco.MjrContext(scene.model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._visual = mujoco.MjvScene(scene.model, maxgeom=scene.model.ngeom + 16)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = scene.model.camera("drone").id
        self._entity_of_segment: np.ndarray | None = None

    def aim(self, pose: CameraPose, camera: Pinhole, focus: np.ndarray, radius: float) -> None:
        """Set the camera, and update what is drawn from the scene's data.

        Args:
            pose: place and attitude of the camera.
            camera: its intrinsics; the image size must be the renderer's.
            focus: point on the ground around which shadows are drawn, east and north [m].
            radius: how far around the focus shadows are drawn [m].

        Raises:
            ValueError: the camera's image size is not the renderer's.
        """
        if (camera.width, camera.height) != (self._width, self._height):
            raise ValueError(
                f"The renderer draws {self._width}x{self._height} images, "
                f"but the camera has {camera.width}x{camera.height}."
            )
        model, data = self._scene.model, self._scene.data
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, (pose.rotation @ _OPTICAL_TO_GL).reshape(-1))
        model.cam_pos[0], model.cam_quat[0] = pose.position, quaternion
        model.cam_fovy[0] = np.degrees(camera.vertical_fov)
        # The shadow map of a directional light covers shadowclip * extent around the light's place.
        model.light_pos[0] = np.array([focus[0], focus[1], 0.0]) - 60 * self._scene.light.direction
        model.vis.map.shadowclip = radius / model.stat.extent
        mujoco.mj_camlight(model, data)
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._visual
        )

    def _draw(self, factor: int) -> np.ndarray:
        rect = mujoco.MjrRect(0, 0, self._width * factor, self._height * factor)
        image = np.empty((rect.height, rect.width, 3), np.uint8)
        self._gl.make_current()
        mujoco.mjr_render(rect, self._visual, self._context)
        mujoco.mjr_readPixels(image, None, rect, self._context)
        return image[::-1]

    def image(self) -> np.ndarray:
        """Draw what :meth:`aim` set up: uint8 BGR, shape (H, W, 3)."""
        image = np.ascontiguousarray(self._draw(self._factor)[..., ::-1])
        return (
            cv2.resize(image, (self._width, self._height), interpolation=cv2.INTER_AREA) if self._factor > 1 else image
        )

    def instances(self) -> np.ndarray:
        """Which entity each pixel's centre shows: int32, shape (H, W), -1 for ground, houses, trees and sky."""
        flags = self._visual.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 1
        codes = self._draw(1).astype(np.int32)
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 0
        if self._entity_of_segment is None:
            self._entity_of_segment = self._segment_table()
        return self._entity_of_segment[codes[..., 0] + (codes[..., 1] << 8) + (codes[..., 2] << 16)]

    def _segment_table(self) -> np.ndarray:
        """Entity by segment id + 1; all geoms of a model are drawn every time, so that it holds for every image."""
        table = np.full(self._visual.ngeom + 1, -1, np.int32)
        for geom in self._visual.geoms[: self._visual.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                table[geom.segid + 1] = self._scene.geom_entity[geom.objid]
        return table

    def close(self) -> None:
        """Free the OpenGL context."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def __enter__(self) -> SceneRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
