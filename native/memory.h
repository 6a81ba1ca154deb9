// Memory for what lives long: zeroed and touched, shared by reference counting between the variable that owns it, the
// plans that write it and the ArrayBuffer that shows it.
#pragma once
#include <cstddef>
#include <memory>
#include <utility>

struct Memory {
  void* data;
  size_t bytes;
  int device = -1;  // -1: the host's; or a GPU's, which the host cannot read

  // `offset` bytes, below 4096, after a page: arrays that a step reads side by side lie at different offsets, because loads
  // wait for stores whose addresses have the same last 12 bits. A block below 16 KB has the offset from a cache line only. Aligned
  // to 64 bytes for a multiple of 64. Throws std::bad_alloc.
  explicit Memory(size_t bytes, size_t offset = 0);
  virtual ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

 protected:
  Memory(void* data_, size_t bytes_, int device_) : data(data_), bytes(bytes_), device(device_) {}

 private:
  void* block_ = nullptr;
  bool small_ = false;
};

// Puts memory that is somebody else's on huge pages, where the system can do that: a step over arrays on small ones takes up
// to 1.5 times as long. Its content stays; it costs a copy of it.
void collapseIntoHugePages(void* data, size_t bytes);

// Bytes of all blocks of the process that are alive.
size_t liveBytes();

using SharedMemory = std::shared_ptr<Memory>;

// Bytes of another memory, which they hold alive.
struct MemoryPart : Memory {
  MemoryPart(SharedMemory of, size_t begin, size_t bytes_)
      : Memory(static_cast<char*>(of->data) + begin, bytes_, of->device), whole(std::move(of)) {}
  const SharedMemory whole;
};
