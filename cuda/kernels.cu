// The kernels for GPUs: each body of walk.h and matrix.h in a block of threads.
template <class T>
struct Flushing {  // by --ftz=true, which leaves float64 alone
  __host__ __device__ Flushing() {}
};

#include "bodies.h"

namespace cuda {
namespace {

struct Block {
  double* shared;
  unsigned block;

  template <class Each_>
  __device__ __forceinline__ void each(const Each_& of) {
    of(threadIdx.x);
    __syncthreads();
  }
  template <class Own>
  struct Each {
    Own own;
    __device__ __forceinline__ Own& operator[](unsigned) { return own; }
  };
};

template <class Body, class = void>
constexpr int residentOf = 1;
template <class Body>
constexpr int residentOf<Body, decltype(void(Body::resident))> = Body::resident;

template <class Body>
__global__ void __launch_bounds__(kThreads, residentOf<Body>) kernel(const __grid_constant__ typename Body::Arguments a) {
  __shared__ double shared[Body::shared > 0 ? Body::shared : 1];
  Block block{shared, blockIdx.x};
  Body::run(a, block);
}

struct Device {
  template <class Body>
  static const void* of() {
    return reinterpret_cast<const void*>(kernel<Body>);
  }
};

}  // namespace

const Kernels kKernels = kernelsBy<Device>(Rules());

}  // namespace cuda
