// The kernels as loops of the host: a block's threads run one after the other between two barriers.
#include "../../native/flush.h"
template <class T>
struct Flushing : FlushDenormals {
  Flushing() : FlushDenormals(sizeof(T) == sizeof(float) ? kFloat32 : kFloat64) {}
};

#include "../bodies.h"
#include "kernel.h"

namespace cuda {
namespace {

struct Block {
  double* shared;
  unsigned block;

  template <class Of>
  void each(const Of& of) {
    for (unsigned thread = 0; thread < kThreads; ++thread) of(thread);
  }
  template <class Own>
  struct Each {
    Own own[kThreads];
    Own& operator[](unsigned thread) { return own[thread]; }
  };
};

template <class Body>
void emulate(const void* arguments, unsigned block) {
  alignas(64) double shared[Body::shared > 0 ? Body::shared : 1];
  Block threads{shared, block};
  Body::run(*static_cast<const typename Body::Arguments*>(arguments), threads);
}

struct Host {
  template <class Body>
  static const void* of() {
    static const Kernel kernel = {emulate<Body>, sizeof(typename Body::Arguments)};
    return &kernel;
  }
};

}  // namespace

const Kernels kKernels = kernelsBy<Host>(Rules());

}  // namespace cuda
