#include "memory.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {
constexpr size_t kLine = 64, kPage = 4096, kHugePage = size_t(2) << 20;

std::atomic<size_t> live{0};

// Large blocks ask for huge pages: touching them later, in the first step, costs 14 to 24 times a step.
void* allocate(size_t bytes) {
  const size_t alignment = bytes >= kHugePage ? kHugePage : bytes >= kPage ? kPage : kLine;
  const size_t rounded = bytes + (alignment - bytes % alignment) % alignment;
  if (rounded < bytes) return nullptr;
  void* data = std::aligned_alloc(alignment, rounded > 0 ? rounded : alignment);
#if defined(__linux__)
  if (data != nullptr && alignment == kHugePage) madvise(data, rounded, MADV_HUGEPAGE);
#endif
  return data;
}
}  // namespace

// A small block has no offset, but what is left of a line.
Memory::Memory(size_t size, size_t offset) : bytes(size) {
  if (size < kPage) offset %= kLine;
  block_ = size + offset < size ? nullptr : allocate(size + offset);
  if (block_ == nullptr) throw std::bad_alloc();
  data = static_cast<char*>(block_) + offset;
  std::memset(data, 0, bytes);
  live.fetch_add(bytes);
}

void collapseIntoHugePages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, since Linux 6.1; older ones refuse it
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / kHugePage * kHugePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, kCollapse);
#endif
}

Memory::~Memory() {
  std::free(block_);
  live.fetch_sub(bytes);
}

size_t liveBytes() { return live.load(); }
