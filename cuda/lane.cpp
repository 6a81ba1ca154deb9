#include "internal.h"

namespace cuda {

Lane::Lane(int device) : device_(device) {
  select(device);
  kCalls.streamCreate.must(&stream_);
  try {
    kCalls.eventCreate.must(&event_, false);
  } catch (const Error&) {
    absorb(kCalls.streamDestroy.name, kCalls.streamDestroy(stream_));
    throw;
  }
}

Lane::~Lane() {
  if (isPoisoned()) return;
  absorb(kCalls.setDevice.name, kCalls.setDevice(device_));
  absorb(kCalls.eventDestroy.name, kCalls.eventDestroy(event_));
  absorb(kCalls.streamDestroy.name, kCalls.streamDestroy(stream_));
}

void Lane::use() const { select(device_); }

void Lane::follow() const { waitIn(device_, stream_); }

void Lane::copy(void* to, const void* from, size_t bytes, bool toHost) const {
  if (bytes > 0) kCalls.memcpyAsync.must(to, from, bytes, toHost ? kToHost : kToDevice, stream_);
}

void Lane::mark() const { kCalls.eventRecord.must(event_, stream_); }

bool Lane::reached() const {
  const Status status = kCalls.eventQuery(event_);
  if (status == kNotReady) return kCalls.getLastError(), false;
  if (status != kSuccess) fail(kCalls.eventQuery.name, status);
  return true;
}

}  // namespace cuda
