// What the parts of the CUDA backend share.
#pragma once
#include <mutex>

#include "calls.h"
#include "device.h"

namespace cuda {

// Throws what has made every GPU of the process useless, if anything has; and the reason why there is no such device.
void checkUsable(int device);
// Makes a device that of the calling thread.
void select(int device);
bool isPoisoned();
// Of a call whose failure changes nothing, but that it may make every GPU useless: `note` throws then.
void absorb(const char* name, Status status);
void note(const char* name, Status status);

// Starts a kernel. `name` is for errors that show up later.
void launch(Stream stream, const char* name, const void* kernel, size_t blocks, const void* arguments);

// Page-locked memory of the host, from which and to which copies run by themselves. It goes back to a pool when the device has
// passed the place at which `release` was called, or at once if nothing was begun.
class Pinned {
 public:
  Pinned(int device, size_t bytes);
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  void* data() const { return block_->data; }
  void begun() { begun_ = true; }  // what reads or writes it is in the stream
  void ended() { begun_ = false; }  // and done

  struct Block {
    void* data;
    size_t bytes;
    Event event;
    bool waiting;
  };

 private:
  int device_;
  Block* block_;
  bool begun_ = false;
};

}  // namespace cuda
