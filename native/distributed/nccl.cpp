#include "nccl.h"

#include <optional>
#include <utility>

#include "../../cuda/device.h"
#include "library.h"

namespace distributed {

namespace {

using Comm = void*;
using Stream = void*;
using Result = int;
constexpr Result kSuccess = 0, kSystemError = 2, kRemoteError = 6, kInProgress = 7;
constexpr int kBytes = 1;             // ncclUint8
constexpr int kOldest = 21400;        // 2.14, the first whose calls need not wait

// ncclConfig_t as of 2.14; later ones take the rest from their defaults.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef, version = kOldest;
  int blocking = 0;
};

struct Calls {
  std::string path;
  int number = 0;  // 23007 for 2.30.7
  Result (*version)(int*);
  Result (*uniqueId)(NcclId*);
  Result (*init)(Comm*, int, NcclId, int, Config*);
  Result (*state)(Comm, Result*);
  Result (*finalize)(Comm);
  Result (*destroy)(Comm);
  Result (*abort)(Comm);
  const char* (*text)(Result);
  const char* (*last)(Comm);
  Result (*groupStart)();
  Result (*groupEnd)();
  Result (*send)(const void*, size_t, int, int, Comm, Stream);
  Result (*receive)(void*, size_t, int, int, Comm, Stream);
  Result (*allGather)(const void*, void*, size_t, int, Comm, Stream);
  Result (*broadcast)(const void*, void*, size_t, int, int, Comm, Stream);

  explicit Calls(const std::vector<std::string>& libraries) {
    const Library library("NCCL", libraries, "ncclGetVersion", false);
    path = library.path();
    library.get(version, "ncclGetVersion");
    version(&number);
    if (number < kOldest) throw Error("ERR_COMM_UNAVAILABLE", "expected NCCL 2.14 or later, " + path + " is " + versionText());
    library.get(uniqueId, "ncclGetUniqueId");
    library.get(init, "ncclCommInitRankConfig");
    library.get(state, "ncclCommGetAsyncError");
    library.get(finalize, "ncclCommFinalize");
    library.get(destroy, "ncclCommDestroy");
    library.get(abort, "ncclCommAbort");
    library.get(text, "ncclGetErrorString");
    library.get(last, "ncclGetLastError");
    library.get(groupStart, "ncclGroupStart");
    library.get(groupEnd, "ncclGroupEnd");
    library.get(send, "ncclSend");
    library.get(receive, "ncclRecv");
    library.get(allGather, "ncclAllGather");
    library.get(broadcast, "ncclBroadcast");
  }

  // Before 2.9 it was 2804 for 2.8.4.
  std::string versionText() const {
    const int major = number < 10000 ? number / 1000 : number / 10000, rest = number < 10000 ? number % 1000 : number % 10000;
    return std::to_string(major) + "." + std::to_string(rest / 100) + "." + std::to_string(rest % 100);
  }

  [[noreturn]] void fail(const char* code, const char* name, Result result, Comm comm) const {
    const char* const more = last(comm);
    throw Error(code, std::string(name) + " failed: " + text(result) + (more != nullptr && *more != 0 ? std::string(" (") + more + ")" : ""));
  }
};

class Nccl : public Engine {
 public:
  Nccl(std::vector<std::string> libraries, const NcclId& id, int rank, int size, int gpu)
      : libraries_(std::move(libraries)), id_(id), rank_(rank), size_(size), gpu_(gpu) {}

  bool started() override {
    if (!calls_) {
      calls_.emplace(libraries_);
      lane_.emplace(gpu_);
      Config config;
      check("ncclCommInitRankConfig", calls_->init(&comm_, size_, id_, rank_, &config));
    }
    return idle("ncclCommInitRankConfig");
  }

  // On the GPU, in this order: what lies on the host goes there, the collective, and when that is done, back. A copy to the host
  // waits for the stream, and could not be given up while another rank is late.
  void begin(const Collective& collective) override {
    now_ = collective;
    at_ = kLaunched;
    lane_->use();
    lane_->follow();
    const size_t sent = bytesOf(now_.send), received = bytesOf(now_.receive);
    char* const scratch = scratchOf((now_.send.onDevice() ? 0 : sent) + (now_.receive.onDevice() ? 0 : received));
    send_ = now_.send.onDevice() ? now_.send.data() : scratch;
    receive_ = now_.receive.onDevice() ? now_.receive.data() : now_.kind == kBroadcast ? send_ : scratch + (now_.send.onDevice() ? 0 : sent);
    if (!now_.send.onDevice()) lane_->copy(send_, now_.send.data(), sent, false);
    if (now_.bytes > 0) launch();
  }

  bool ended() override {
    if (!idle(kKindNames[now_.kind])) return false;
    if (at_ == kLaunched) {
      lane_->mark();
      at_ = kRunning;
    }
    if (!lane_->reached()) return false;
    if (at_ == kRunning && !now_.receive.onDevice()) {
      lane_->copy(now_.receive.data(), receive_, bytesOf(now_.receive), true);
      lane_->mark();
      at_ = kCopied;
      return false;
    }
    now_ = {};
    return true;
  }

  bool closed() override {
    if (!std::exchange(finalizing_, true)) check("ncclCommFinalize", calls_->finalize(comm_));
    if (!idle("ncclCommFinalize")) return false;
    check("ncclCommDestroy", calls_->destroy(std::exchange(comm_, nullptr)));
    free();
    return true;
  }

  // Ends what runs on the GPU for this rank: after it the memory is nobody's.
  void abort(int) override {
    if (comm_ != nullptr) calls_->abort(std::exchange(comm_, nullptr));
    now_ = {};
    free();
  }
  void abandon() override { abort(0); }

  Description describe() const override {
    return {rank_, size_, calls_ ? calls_->path : "", calls_ ? "NCCL " + calls_->versionText() : ""};
  }

 private:
  static bool goes(Result result) { return result == kSuccess || result == kInProgress; }

  void check(const char* name, Result result) {
    if (goes(result)) return;
    const bool lost = result == kRemoteError || (started_ && result == kSystemError);
    calls_->fail(lost ? "ERR_COMM_PEER_LOST" : started_ ? "ERR_COMM_ABORTED" : "ERR_COMM_UNAVAILABLE", name, result, comm_);
  }

  // Whether the last call has done what it does on the host; what has gone wrong on the way, at any time, shows here.
  bool idle(const char* name) {
    Result result = kSuccess;
    check(name, calls_->state(comm_, &result));
    check(name, result);
    started_ = started_ || result == kSuccess;
    return result == kSuccess;
  }

  void launch() {
    Stream stream = lane_->stream();
    const size_t bytes = now_.bytes;
    if (now_.kind == kBroadcast) return check("ncclBroadcast", calls_->broadcast(send_, receive_, bytes, kBytes, now_.root, comm_, stream));
    if (now_.kind != kAllToAll) return check("ncclAllGather", calls_->allGather(send_, receive_, bytes, kBytes, comm_, stream));
    check("ncclGroupStart", calls_->groupStart());
    Result sent = kSuccess, received = kSuccess;
    for (int rank = 0; rank < size_ && goes(sent) && goes(received); ++rank) {
      sent = calls_->send(send_ + bytes * size_t(rank), bytes, kBytes, rank, comm_, stream);
      received = calls_->receive(receive_ + bytes * size_t(rank), bytes, kBytes, rank, comm_, stream);
    }
    const Result ended = calls_->groupEnd();  // in any case: within a group nothing can be aborted
    check("ncclSend", sent);
    check("ncclRecv", received);
    check("ncclGroupEnd", ended);
  }

  size_t bytesOf(const Place& place) const {
    const bool part = now_.kind == kBroadcast || (now_.kind != kAllToAll && &place == &now_.send);
    return part ? now_.bytes : now_.bytes * size_t(size_);
  }

  char* scratchOf(size_t bytes) {
    if (bytes == 0) return nullptr;
    if (!scratch_ || scratch_->bytes < bytes) scratch_ = cuda::allocate(gpu_, bytes);
    lane_->follow();  // its zeros are written by the device's stream
    return static_cast<char*>(scratch_->data);
  }

  void free() {
    scratch_.reset();
    lane_.reset();
  }

  const std::vector<std::string> libraries_;
  const NcclId id_;
  const int rank_, size_, gpu_;
  std::optional<Calls> calls_;
  std::optional<cuda::Lane> lane_;
  Comm comm_ = nullptr;
  bool started_ = false, finalizing_ = false;
  SharedMemory scratch_;
  Collective now_ = {};
  char *send_ = nullptr, *receive_ = nullptr;
  enum { kLaunched, kRunning, kCopied } at_ = kLaunched;
};

}  // namespace

NcclId newNcclId(const std::vector<std::string>& libraries, std::string& version) {
  const Calls calls(libraries);
  version = calls.versionText();
  NcclId id;
  if (const Result result = calls.uniqueId(&id); result != kSuccess) calls.fail("ERR_COMM_UNAVAILABLE", "ncclGetUniqueId", result, nullptr);
  return id;
}

std::shared_ptr<Engine> newNccl(const std::vector<std::string>& libraries, const NcclId& id, int rank, int size, int gpu) {
  return std::make_shared<Nccl>(libraries, id, rank, size, gpu);
}

}  // namespace distributed
