// What the address of an emulated kernel points to.
#pragma once
#include <cstddef>

namespace cuda {
struct Kernel {
  void (*run)(const void* arguments, unsigned block);
  size_t bytes;  // of the arguments
};
}  // namespace cuda
