// What lib/wasm/ calls; lib/wasm/kernels.ts types it. Nothing here allocates, and nothing keeps a pointer.
#include "../kernels.h"
#include "../matrix/whole.h"
#include "../reduce.h"

extern const Kernels kWasm;
extern "C" unsigned char __heap_base;  // the linker's

namespace {

const std::atomic<bool> kNever{false};  // cancelled

// As float32 kernels see float64 numbers elsewhere: their processor flushes these as well.
double seen(Dtype dtype, double x) { return dtype == kFloat32 && !(magnitude(x) >= 0x1p-1022) ? x * 0 : x; }

Whole wholeOfRule(int rule) { return wholeIn(Rules(), rule); }

}  // namespace

[[clang::export_name("update")]] void update(int rule, Dtype dtype, const Tensor& tensor, size_t begin, size_t length,
                                             const Control& control) {
  kWasm.update[rule][dtype](tensor, begin, length, control);
}

[[clang::export_name("sumOfSquares")]] double sumOfSquares(Dtype dtype, const Tensor& tensor, size_t begin, size_t length,
                                                           double unscale) {
  return kWasm.sumOfSquares[dtype](tensor, begin, length, unscale);
}

[[clang::export_name("sumOfDecayed")]] double sumOfDecayed(Dtype dtype, const Tensor& tensor, size_t begin, size_t length,
                                                           const Control& control) {
  return kWasm.sumOfDecayed[dtype](tensor, begin, length, control);
}

[[clang::export_name("finite")]] bool areAllFinite(Dtype dtype, const Tensor& tensor, size_t begin, size_t length) {
  return kWasm.finite[dtype](tensor, begin, length);
}

[[clang::export_name("foldPairwise")]] double foldSums(double* sums, size_t count) { return foldPairwise(sums, count); }

[[clang::export_name("addSquares")]] void addSquares(Dtype dtype, Squares& sum, size_t lane, const void* g, size_t length,
                                                     double unscale) {
  if (dtype == kFloat32)
    sum.addFrom(lane, static_cast<const Float32*>(g), length, Unscaled<Float32>{Float32(unscale)});
  else
    sum.addFrom(lane, static_cast<const double*>(g), length, Unscaled<double>{unscale});
}

[[clang::export_name("foldLanes")]] double foldSquares(Squares& sum) { return sum.fold(); }

[[clang::export_name("clipFactor")]] void findClipFactor(Dtype dtype, double sum, double clip, Factor& out) {
  sum = seen(dtype, sum), clip = seen(dtype, clip);
  out = dtype == kFloat32 ? clipFactor<Float32>(sum, clip) : clipFactor<double>(sum, clip);
}

[[clang::export_name("globalClipFactor")]] void findGlobalClipFactor(Dtype dtype, double sum, double clip, Factor& out) {
  sum = seen(dtype, sum), clip = seen(dtype, clip);
  out = dtype == kFloat32 ? globalClipFactor<Float32>(sum, clip) : globalClipFactor<double>(sum, clip);
}

[[clang::export_name("steer")]] void steer(int rule, Dtype dtype, Tensor& tensor, const Control& control, const uint32_t* shape,
                                           double squares, double directionSquares, void* const* extra, void* workspace) {
  const Shape matrices = {shape[0], shape[1], shape[2]};
  steerOf(wholeOfRule(rule), dtype)(
      {kWasm, control, tensor, matrices, squares, directionSquares, extra, kNever, nullptr, workspace});
}

[[clang::export_name("workspaceBytes")]] size_t workspaceBytes(int rule, Dtype dtype, size_t batch, size_t rows, size_t columns) {
  return workspaceOf(wholeOfRule(rule), {batch, rows, columns}, dtype);
}

// lib/wasm/kernels.ts names them in this order.
[[clang::export_name("layout")]] const uint32_t* layout() {
  static constexpr uint32_t numbers[] = {
      sizeof(Tensor),
      sizeof(Control),
      offsetof(Tensor, p),
      offsetof(Tensor, g),
      offsetof(Tensor, slots),
      offsetof(Tensor, length),
      offsetof(Tensor, first),
      offsetof(Tensor, storage),
      offsetof(Tensor, multiplier),
      offsetof(Tensor, divisor),
      offsetof(Tensor, average),
      offsetof(Tensor, averaging),
      offsetof(Tensor, variable),
      offsetof(Tensor, given),
      offsetof(Tensor, decay),
      offsetof(Tensor, skip),
  };
  return numbers;
}

[[clang::export_name("heapBase")]] size_t heapBase() { return (reinterpret_cast<size_t>(&__heap_base) + 63) / 64 * 64; }
