// NCCL's functions for ranks without a GPU: "device" memory is the host's (an emulated GPU), ranks are processes that meet in a file of
// shared memory named by the id. Nothing waits: a call is done on a thread, and ncclCommGetAsyncError says when. As strict as the
// real one: a call while another is in progress, or a wrong configuration, is an error.
// FAKE_NCCL_VERSION is what ncclGetVersion says; FAKE_NCCL_FAIL="ncclSend:2" makes that call give that result, FAKE_NCCL_ASYNC="..."
// makes it end with that one some time after, FAKE_NCCL_HANG="ncclAllGather:5" lets calls of it never end from the fifth on.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kSuccess = 0, kInvalidArgument = 4, kInvalidUsage = 5, kRemoteError = 6, kInProgress = 7;
constexpr int kMaxRanks = 8;
constexpr size_t kSlot = 1 << 15;  // bytes

// What one rank sends another, a slot at a time; all zeros to begin with.
struct Channel {
  std::atomic<uint64_t> written, read;
  char slot[kSlot];
};
struct Meeting {
  std::atomic<int> joined, left, aborted;
  Channel channels[kMaxRanks][kMaxRanks];  // from, to
};

struct Id {
  char bytes[128];
};
struct Config {
  size_t size;
  unsigned magic, version;
  int blocking;
};

struct Transfer {
  int rank;
  bool sends;
  char* data;
  size_t bytes;
  size_t moved = 0;
};

// The number behind a name in a variable of the environment; 0 if it is not there.
int asked(const char* variable, const char* name) {
  const char* const text = std::getenv(variable);
  const std::string wanted = std::string(name) + ":";
  return text != nullptr && wanted.compare(0, std::string::npos, text, wanted.size()) == 0 ? std::atoi(text + wanted.size()) : 0;
}
int failure(const char* name) { return asked("FAKE_NCCL_FAIL", name); }

bool hangs(const char* name) {
  static std::atomic<int> calls{0};
  const int from = asked("FAKE_NCCL_HANG", name);
  return from > 0 && ++calls >= from;
}

struct Comm {
  int rank, size;
  Meeting* meeting;
  std::string path;
  std::atomic<int> state{kInProgress};
  std::atomic<bool> abort{false};
  std::thread thread;

  Channel& channel(const Transfer& transfer) const {
    return transfer.sends ? meeting->channels[rank][transfer.rank] : meeting->channels[transfer.rank][rank];
  }

  // Whether it did something.
  bool move(Transfer& transfer) const {
    Channel& channel = this->channel(transfer);
    const uint64_t written = channel.written, read = channel.read;
    if (transfer.moved == transfer.bytes || (written == read) != transfer.sends) return false;
    const size_t some = transfer.bytes - transfer.moved < kSlot ? transfer.bytes - transfer.moved : kSlot;
    char* const at = transfer.data + transfer.moved;
    std::memcpy(transfer.sends ? channel.slot : at, transfer.sends ? at : channel.slot, some);
    transfer.moved += some;
    ++(transfer.sends ? channel.written : channel.read);
    return true;
  }

  // Runs a step until it says that it is done; then the state is `end`, if nobody has given up.
  template <class Step>
  void run(Step step, int end = kSuccess) {
    if (thread.joinable()) thread.join();
    state = kInProgress;
    thread = std::thread([this, step, end]() mutable {
      while (!step() && !abort) {
        if (meeting->aborted > 0) return state.store(kRemoteError);
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
      state = end;
    });
  }

  int transfer(const char* name, std::vector<Transfer> transfers) {
    if (state != kSuccess) return state == kInProgress ? kInvalidUsage : state.load();
    if (const int result = asked("FAKE_NCCL_ASYNC", name)) return run([] { return true; }, result), kInProgress;
    if (hangs(name)) return run([] { return false; }), kInProgress;
    run([this, transfers]() mutable {
      bool done = true;
      for (Transfer& one : transfers) {
        while (move(one)) continue;
        done = done && one.moved == one.bytes;
      }
      return done;
    });
    return kInProgress;
  }
};

thread_local int groups = 0;
thread_local Comm* grouped = nullptr;
thread_local std::vector<Transfer> group;

int add(Comm* comm, Transfer transfer) {
  if (transfer.rank < 0 || transfer.rank >= comm->size) return kInvalidArgument;
  if (groups == 0) return kInvalidUsage;
  grouped = comm;
  group.push_back(transfer);
  return kSuccess;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int ncclGetVersion(int* version) {
  const char* const asked = std::getenv("FAKE_NCCL_VERSION");
  *version = asked != nullptr ? std::atoi(asked) : 22304;
  return kSuccess;
}

EXPORT int ncclGetUniqueId(Id* id) {
  std::memset(id, 0, sizeof *id);
  std::random_device random;
  std::snprintf(id->bytes, sizeof id->bytes, "/dev/shm/fake_nccl_%08x%08x", random(), random());
  return failure("ncclGetUniqueId");
}

EXPORT int ncclCommInitRankConfig(Comm** to, int size, Id id, int rank, Config* config) {
  if (const int result = failure("ncclCommInitRankConfig")) return result;
  if (config->size < 20 || config->magic != 0xcafebeef || config->version < 21400 || config->blocking != 0 || size > kMaxRanks)
    return kInvalidArgument;
  const int file = open(id.bytes, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Meeting)) != 0) return kInvalidArgument;
  void* const shared = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (shared == MAP_FAILED) return kInvalidArgument;
  Comm* const comm = *to = new Comm;
  comm->rank = rank;
  comm->size = size;
  comm->meeting = static_cast<Meeting*>(shared);
  comm->path = id.bytes;
  ++comm->meeting->joined;
  const bool never = hangs("ncclCommInitRankConfig");
  comm->run([comm, never] { return !never && comm->meeting->joined >= comm->size; });
  return kInProgress;
}

EXPORT int ncclCommGetAsyncError(Comm* comm, int* state) {
  *state = comm->state;
  return kSuccess;
}

EXPORT int ncclCommFinalize(Comm* comm) {
  if (comm->state != kSuccess) return kInvalidUsage;
  ++comm->meeting->left;
  comm->run([comm] { return comm->meeting->left >= comm->size; });
  return kInProgress;
}

EXPORT int ncclCommDestroy(Comm* comm) {
  comm->abort = true;
  comm->thread.join();
  if (comm->rank == 0) unlink(comm->path.c_str());
  munmap(comm->meeting, sizeof(Meeting));
  delete comm;
  return kSuccess;
}

EXPORT int ncclCommAbort(Comm* comm) {
  if (groups > 0) std::fputs("fake NCCL: ncclCommAbort within a group\n", stderr), std::_Exit(9);
  ++comm->meeting->aborted;
  unlink(comm->path.c_str());
  return ncclCommDestroy(comm);
}

EXPORT const char* ncclGetErrorString(int result) {
  constexpr const char* texts[] = {"no error", "unhandled cuda error", "unhandled system error", "internal error", "invalid argument",
                                   "invalid usage", "remote process exited or there was a network error", "NCCL operation in progress"};
  return texts[result];
}
EXPORT const char* ncclGetLastError(Comm*) { return "of the fake"; }

EXPORT int ncclGroupStart() { return ++groups, kSuccess; }
EXPORT int ncclGroupEnd() {
  if (--groups > 0) return kSuccess;
  std::vector<Transfer> now;
  now.swap(group);
  return grouped == nullptr ? kSuccess : grouped->transfer("ncclGroupEnd", std::move(now));
}

EXPORT int ncclSend(const void* from, size_t bytes, int, int rank, Comm* comm, void*) {
  if (const int result = failure("ncclSend")) return result;
  return add(comm, {rank, true, static_cast<char*>(const_cast<void*>(from)), bytes});
}
EXPORT int ncclRecv(void* to, size_t bytes, int, int rank, Comm* comm, void*) {
  return add(comm, {rank, false, static_cast<char*>(to), bytes});
}

EXPORT int ncclAllGather(const void* from, void* to, size_t bytes, int, Comm* comm, void*) {
  if (const int result = failure("ncclAllGather")) return result;
  std::vector<Transfer> transfers;
  for (int rank = 0; rank < comm->size; ++rank) {
    transfers.push_back({rank, true, static_cast<char*>(const_cast<void*>(from)), bytes});
    transfers.push_back({rank, false, static_cast<char*>(to) + bytes * size_t(rank), bytes});
  }
  return comm->transfer("ncclAllGather", std::move(transfers));
}

EXPORT int ncclBroadcast(const void* from, void* to, size_t bytes, int, int root, Comm* comm, void*) {
  std::vector<Transfer> transfers;
  if (comm->rank == root)
    for (int rank = 0; rank < comm->size; ++rank)
      if (rank != root) transfers.push_back({rank, true, static_cast<char*>(const_cast<void*>(from)), bytes});
  if (comm->rank != root) transfers.push_back({root, false, static_cast<char*>(to), bytes});
  else if (from != to) std::memcpy(to, from, bytes);
  return comm->transfer("ncclBroadcast", std::move(transfers));
}
