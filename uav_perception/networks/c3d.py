"""C3D (Tran et al. 2015): eight 3x3x3 convolutions and three fully connected layers on 16 frames of 112x112."""

from __future__ import annotations

from torch import Tensor, nn

from uav_perception.networks.errors import NetworkError

FRAMES = 16
SIZE = 112


class C3d(nn.Module):
    """(B, 16, 3, 112, 112) to logits (B, classes).

    Parameters are called ``conv1`` ... ``conv5b``, ``fc6``, ``fc7``, ``fc8``, as in conversions of the original.
    """

    def __init__(self, classes: int, channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.conv1 = self._convolution(channels, 64)
        self.conv2 = self._convolution(64, 128)
        self.conv3a = self._convolution(128, 256)
        self.conv3b = self._convolution(256, 256)
        self.conv4a = self._convolution(256, 512)
        self.conv4b = self._convolution(512, 512)
        self.conv5a = self._convolution(512, 512)
        self.conv5b = self._convolution(512, 512)
        self.pool1 = nn.MaxPool3d((1, 2, 2))
        self.pool = nn.MaxPool3d(2)
        self.pool5 = nn.MaxPool3d(2, padding=(0, 1, 1))
        self.fc6 = nn.Linear(8192, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, classes)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)

    @staticmethod
    def _convolution(channels: int, width: int) -> nn.Conv3d:
        return nn.Conv3d(channels, width, 3, padding=1)

    def forward(self, clip: Tensor) -> Tensor:
        """(B, 16, C, 112, 112) to (B, classes)."""
        if (clip.shape[1], *clip.shape[3:]) != (FRAMES, SIZE, SIZE):
            raise NetworkError(f"C3D takes {FRAMES} frames of {SIZE}x{SIZE}, got a clip of shape {tuple(clip.shape)}.")
        x = clip.transpose(1, 2)
        x = self.pool1(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        x = self.pool(self.relu(self.conv3b(self.relu(self.conv3a(x)))))
        x = self.pool(self.relu(self.conv4b(self.relu(self.conv4a(x)))))
        x = self.pool5(self.relu(self.conv5b(self.relu(self.conv5a(x)))))
        x = self.dropout(self.relu(self.fc6(x.flatten(1))))
        x = self.dropout(self.relu(self.fc7(x)))
        return self.fc8(x)
