#include "memory.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {
constexpr size_t kLine = 64, kPage = 4096, kHugePage = size_t(2) << 20;
constexpr size_t kLittle = 4 * kPage;  // below, lying on as few pages as possible is worth more than an offset

std::atomic<size_t> live{0};

// Large blocks ask for huge pages: touching them later, in the first step, costs 14 to 24 times a step.
void* allocate(size_t bytes) {
  const size_t alignment = bytes >= kHugePage ? kHugePage : bytes >= kPage ? kPage : kLine;
  const size_t rounded = bytes + (alignment - bytes % alignment) % alignment;
  if (rounded < bytes) return nullptr;
  void* data = std::aligned_alloc(alignment, rounded > 0 ? rounded : alignment);
#if defined(__linux__)
  // Not the last, incomplete one: it would be all there for a few bytes.
  if (data != nullptr && alignment == kHugePage) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return data;
}

// Small blocks lie side by side on huge pages: a step over many small tensors on pages of their own takes twice as long. What
// is given back is kept for blocks of the same size. A sanitizer sees every block for itself.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kSmall = 0;
#else
constexpr size_t kSmall = size_t(512) << 10;
#endif

class Slabs {
 public:
  // `bytes` is a multiple of kLine; null if there is no memory.
  void* take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Free*& first = free_[bytes];
    if (first != nullptr) return std::exchange(first, first->next);
    if (left_ < bytes) {
      char* slab = static_cast<char*>(allocate(kSlab));
      if (slab == nullptr) return nullptr;
      next_ = slab;
      left_ = kSlab;
    }
    left_ -= bytes;
    return std::exchange(next_, next_ + bytes);
  }
  void give(void* block, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Free*& first = free_.find(bytes)->second;  // made by take, so that nothing is allocated here
    first = new (block) Free{first};
  }

 private:
  static constexpr size_t kSlab = 2 * kHugePage;
  struct Free {
    Free* next;
  };
  std::mutex mutex_;
  std::unordered_map<size_t, Free*> free_;  // by bytes
  char* next_ = nullptr;
  size_t left_ = 0;
};

// Never destroyed: environments give blocks back while the process exits.
Slabs& slabs() {
  static Slabs& slabs = *new Slabs;
  return slabs;
}

// Of a small block.
size_t wholeLines(size_t bytes) { return bytes > 0 ? (bytes + kLine - 1) / kLine * kLine : kLine; }
}  // namespace

Memory::Memory(size_t size, size_t offset) : bytes(size), small_(size < kSmall) {
  const size_t before = size < kLittle ? offset % kLine : offset, whole = size + before;
  if (whole >= size) block_ = small_ ? slabs().take(wholeLines(whole)) : allocate(whole);
  if (block_ == nullptr) throw std::bad_alloc();
  data = static_cast<char*>(block_) + before;
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
  if (block_ == nullptr) return;  // not ours
  if (small_) slabs().give(block_, wholeLines(size_t(static_cast<char*>(data) - static_cast<char*>(block_)) + bytes));
  else std::free(block_);
  live.fetch_sub(bytes);
}

size_t liveBytes() { return live.load(); }
