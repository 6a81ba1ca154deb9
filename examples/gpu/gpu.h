// What the example asks of a GPU: network.cu does it with CUDA; emulated.cpp with this process's own memory, for tests on machines
// without one. Every function throws an Error for any answer of CUDA's but success.
#pragma once
#include <cstddef>
#include <stdexcept>
#include <string>

namespace gpu {

using Stream = void*;  // cudaStream_t, which is the driver's CUstream: valid in every CUDA runtime of the process

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

extern const bool kEmulated;
// Why there is no GPU to use; empty if there is one.
std::string problem();

// Memory of a device, zeroed, freed with the block. Freeing waits for the work of the device, so that a kernel under way keeps it.
class Block {
 public:
  Block(int device, size_t bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }

 private:
  int device_;
  size_t bytes_;
  void* data_ = nullptr;
};

// A stream of the example's own.
class OwnStream {
 public:
  explicit OwnStream(int device);
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  Stream handle() const { return handle_; }

 private:
  int device_;
  Stream handle_ = nullptr;
};

// Throws unless `data` lies in memory of the device.
void checkPointer(int device, const void* data);
// Host to device; `from` may change when it returns.
void write(int device, void* to, const void* from, size_t bytes, Stream stream);
void zero(int device, void* to, size_t bytes, Stream stream);
// What one stream is given from now on runs after all that the other one has got so far.
void order(int device, Stream first, Stream then);

// Device to host: begun where it is made, in the order of the stream.
class Reading {
 public:
  Reading(int device, const void* from, size_t bytes, Stream stream);
  ~Reading();
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  // Waits, from any thread; what was read, until the reading ends.
  const void* finish();

 private:
  int device_;
  void* host_ = nullptr;
  void* event_ = nullptr;
};

// A kernel of network.h.
template <class Kernel>
void launch(int device, const Kernel& kernel, Stream stream);

}  // namespace gpu
