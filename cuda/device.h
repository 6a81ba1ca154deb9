// A GPU: whether there is one, its memory, its stream of work, and what happens to errors. absent.cpp has the same symbols when
// CUDA is not built in.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../native/memory.h"

namespace cuda {

// An error with the stable code that JavaScript shows. `number` is CUDA's, 0 if it has none.
class Error : public std::runtime_error {
 public:
  Error(const char* code_, const std::string& message, int number_ = 0) : std::runtime_error(message), code(code_), number(number_) {}
  const char* code;
  int number;
};

struct Gpu {
  std::string name, uuid;
  size_t memory;  // bytes
  int major, minor, processors;
};

// What was found when it was first asked for.
struct Startup {
  const char* code = nullptr;  // why there is no GPU to use: a stable code, and a sentence; null if there is one
  std::string message;
  int driver = 0, runtime = 0;  // versions as CUDA has them: 13000; 0 for none
  std::vector<Gpu> gpus;
};
const Startup& startup();
const char* unusable();  // startup().message; null if there is a GPU

extern const bool kBuilt, kEmulated;

// Memory of a device, zeroed. Throws Error.
SharedMemory allocate(int device, size_t bytes);
// Somebody else's, found to lie on that device; nothing is freed. Throws Error for memory of the host or of another device.
SharedMemory borrow(int device, void* data, size_t bytes);

size_t liveBytes(int device);
void* streamOf(int device);
// From now on its work goes to another stream, after what has gone to the one before. Null: its own.
void useStream(int device, void* stream);
// Makes the stream of a device wait for what another stream of it has got so far; and the other way round.
void waitFor(int device, void* other);
void waitIn(int device, void* other);

// Host to device, from its first byte on; `from` may be overwritten when it returns.
void write(const Memory& to, const void* from, size_t bytes);
void copy(const Memory& to, const Memory& from, size_t bytes);
// Rows of numbers, of `bytes` each, into a dense array; null for zeros.
void putRows(const Memory& dense, const uint32_t* rows, size_t count, size_t bytes, const void* values);

// A read under way: begun where it was made, in the order of the stream.
class Reading {
 public:
  explicit Reading(SharedMemory from);
  ~Reading();
  void finish(void* to);  // waits; from any thread

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A place in the stream of a device.
class Mark {
 public:
  explicit Mark(int device, bool timed = false);
  ~Mark();
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  bool reached() const;
  void wait() const;
  float since(const Mark& earlier) const;  // milliseconds; both timed and reached

 private:
  int device_;
  void* event_ = nullptr;
};

// A stream of its own, for work that goes on beside that of the device. What it does not free: the device must be done with it.
class Lane {
 public:
  explicit Lane(int device);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  void use() const;  // makes the device that of the calling thread
  void* stream() const { return stream_; }
  void follow() const;  // waits for what the device's stream has got so far
  void copy(void* to, const void* from, size_t bytes, bool toHost) const;
  void mark() const;
  bool reached() const;  // whether all before the last mark is done

 private:
  const int device_;
  void *stream_ = nullptr, *event_ = nullptr;
};

}  // namespace cuda
