// The kernels of the network: dense layers, relu between them, softmax and cross-entropy behind. Each is a struct of its arguments
// that says how many threads have something to do, and what one of them does: the same text runs on a GPU (network.cu) and as
// loops on the host (emulated.cpp). A thread writes elements of its own and adds up what they are made of in a fixed order, without
// atomics: a run repeats to the bit. Matrices are row by row, a row for each image of the batch.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define KERNEL __host__ __device__ inline
#else
#define KERNEL inline
#endif

namespace network {

constexpr unsigned kThreads = 128;  // of a block

template <class Kernel>
unsigned blocksOf(const Kernel& kernel) {
  return unsigned((kernel.count() + kThreads - 1) / kThreads);
}
// What one thread of a kernel does; those of the last block may have nothing to do.
template <class Kernel>
KERNEL void runThread(const Kernel& kernel, unsigned block, unsigned thread) {
  const size_t i = size_t(block) * kThreads + thread;
  if (i < kernel.count()) kernel(i);
}

// Of some images: the sum of their losses, how many the network got right, how many they are.
struct Score {
  double loss, right, images;
};

// x <- the pixels of the chosen images, 0 ... 255, as 0 ... 1.
struct Gather {
  const uint8_t* pixels;
  const uint32_t* chosen;
  float* x;
  size_t rows, width;

  KERNEL size_t count() const { return rows * width; }
  KERNEL void operator()(size_t i) const { x[i] = float(pixels[chosen[i / width] * width + i % width]) / 255.0f; }
};

// y <- x kernel + bias, with relu max(y, 0), which lets NaN through.
struct Forward {
  const float *x, *kernel, *bias;
  float* y;
  size_t rows, inputs, outputs;
  bool relu;

  KERNEL size_t count() const { return rows * outputs; }
  KERNEL void operator()(size_t i) const {
    const float* from = x + i / outputs * inputs;
    const float* weights = kernel + i % outputs;
    float sum = bias[i % outputs];
    for (size_t k = 0; k < inputs; k++) sum += from[k] * weights[k * outputs];
    y[i] = relu && sum < 0 ? 0 : sum;
  }
};

// Softmax and cross-entropy of a row: its score, and the gradient of the batch's mean loss by its logits. In float64, as
// examples/network.ts has it: a row is short.
struct CrossEntropy {
  const float* logits;
  const uint8_t* labels;
  const uint32_t* chosen;
  float* gradient;
  Score* scores;
  size_t rows, classes;

  KERNEL size_t count() const { return rows; }
  KERNEL void operator()(size_t row) const {
    const float* z = logits + row * classes;
    const size_t label = labels[chosen[row]];
    double top = z[0];  // subtracted, so that no power overflows
    for (size_t j = 1; j < classes; j++) top = z[j] > top ? double(z[j]) : top;
    double sum = 0;
    for (size_t j = 0; j < classes; j++) sum += exp(z[j] - top);
    scores[row] = {log(sum) + top - z[label], z[label] == top ? 1.0 : 0.0, 1};
    for (size_t j = 0; j < classes; j++)
      gradient[row * classes + j] = float((exp(z[j] - top) / sum - (j == label ? 1 : 0)) / double(rows));
  }
};

// total <- total + the scores of the rows, one after the other, by a single thread.
struct Tally {
  const Score* scores;
  Score* total;
  size_t rows;

  KERNEL size_t count() const { return 1; }
  KERNEL void operator()(size_t) const {
    Score sum = *total;
    for (size_t row = 0; row < rows; row++) {
      sum.loss += scores[row].loss;
      sum.right += scores[row].right;
      sum.images += scores[row].images;
    }
    *total = sum;
  }
};

// The gradients of a layer, given dy, that of its y: kernel <- x^T dy, bias <- the sum of the rows of dy. The threads behind those of
// the kernel's elements have the bias's.
struct Weights {
  const float *x, *dy;
  float *kernel, *bias;
  size_t rows, inputs, outputs;

  KERNEL size_t count() const { return (inputs + 1) * outputs; }
  KERNEL void operator()(size_t i) const {
    const size_t input = i / outputs, output = i % outputs;
    float sum = 0;
    if (input == inputs) {
      for (size_t row = 0; row < rows; row++) sum += dy[row * outputs + output];
      bias[output] = sum;
    } else {
      for (size_t row = 0; row < rows; row++) sum += x[row * inputs + input] * dy[row * outputs + output];
      kernel[i] = sum;
    }
  }
};

// dx <- dy kernel^T for an x that comes from a relu: nothing passes where it is 0.
struct Inputs {
  const float *x, *dy, *kernel;
  float* dx;
  size_t rows, inputs, outputs;

  KERNEL size_t count() const { return rows * inputs; }
  KERNEL void operator()(size_t i) const {
    const float* from = dy + i / inputs * outputs;
    const float* weights = kernel + i % inputs * outputs;
    float sum = 0;
    for (size_t j = 0; j < outputs; j++) sum += weights[j] * from[j];
    dx[i] = x[i] == 0 ? 0 : sum;
  }
};

}  // namespace network
