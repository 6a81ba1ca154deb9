// Host memory for what lives long: 64-byte aligned, zeroed and touched, shared by reference counting between the
// variable that owns it, the plans that write it and the ArrayBuffer that shows it.
#pragma once
#include <cstddef>
#include <memory>

struct Memory {
  void* data;
  size_t bytes;

  // Throws std::bad_alloc.
  explicit Memory(size_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
};

// Bytes of all blocks of the process that are alive.
size_t liveBytes();

using SharedMemory = std::shared_ptr<Memory>;
