#include "mpi.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "line.h"
#include "mpi_calls.h"

namespace distributed {

namespace {

constexpr int kPairs = 32;  // that a round has at most: a thousand ranks at once would wait for memory

// What one rank does in a round; a round begins when the one before has ended here.
struct Transfer {
  int rank;
  char* from;  // what goes there; null for what comes
  char* to;
  size_t bytes;
};
using Round = std::vector<Transfer>;

// MPI can be started once a process, and what begins then may arrive as long as the process lives.
std::atomic<bool> taken{false};

// What UCX, which an MPI may be built on, must not do in a process of several threads: rewrite the code of mmap and brk while others
// run it, which crashes or hangs it now and then; and take SIGSEGV, by which V8 finds the bounds of WebAssembly's memory. Without
// the first it registers memory with a network anew for every message. Whoever sets the variables decides.
constexpr const char* kSettings[][2] = {{"UCX_MEM_EVENTS", "n"}, {"UCX_ERROR_SIGNALS", "SIGILL,SIGBUS,SIGFPE"}};

class Mpi : public Engine, public std::enable_shared_from_this<Mpi> {
 public:
  Mpi(std::vector<std::string> libraries, MpiTuning tuning) : libraries_(std::move(libraries)), tuning_(tuning) {}

  bool started() override {
    try {
      calls_ = openMpi(libraries_);
    } catch (const Error&) {
      taken = false;  // there is none that has been started
      throw;
    }
    static const auto& kept = *new std::shared_ptr<Mpi>(shared_from_this());
    live_ = true;
    kept->calls_->init();
    return true;
  }

  void begin(const Collective& collective) override {
    now_ = collective;
    rounds_ = roundsOf(collective);
    round_ = 0;
    if (collective.kind == kBroadcast) broadcast();
    else if (!rounds_.empty()) post(rounds_[0]);
    copyOwn();
    if (now_.arrived != nullptr) now_.arrived[rank()] = 1;
  }

  bool ended() override {
    while (calls_->test(now_.arrived)) {
      if (++round_ >= rounds_.size()) return now_ = {}, true;
      post(rounds_[round_]);
    }
    return false;
  }

  bool closed() override {
    calls_->finalize();
    live_ = false;
    return true;
  }
  void aborts(int exitCode) override {
    if (live_) exitSoon(exitCode);
  }
  void abort(int exitCode) override {
    if (live_) calls_->abort(exitCode);
  }
  void abandon() override {}  // what has begun stays, with its memory: nothing takes back a message
  Description describe() const override { return calls_->description; }

 private:
  int rank() const { return calls_->description.rank; }
  int size() const { return calls_->description.size; }
  // Counted on from the own rank, round and round.
  int after(int steps) const { return (rank() + steps + size()) % size(); }
  char* part(const Place& place, int index) const { return place.data() + now_.bytes * size_t(index); }
  char* received(int index) const { return now_.receive.data() + now_.room * size_t(index); }

  std::vector<Round> roundsOf(const Collective& collective) const {
    if (collective.kind == kBroadcast || collective.bytes == 0) return {};
    return collective.kind == kAllGather && size() >= tuning_.ring ? ring() : pairs();
  }

  // Everybody with everybody: first with the neighbours, so that no rank is everybody's first.
  std::vector<Round> pairs() const {
    const bool parts = now_.kind == kAllToAll;
    std::vector<Round> rounds;
    for (int first = 1; first < size(); first += kPairs) {
      Round round;
      for (int i = first; i < std::min(first + kPairs, size()); ++i) {
        const int to = after(i), from = after(-i);
        round.push_back({from, nullptr, received(from), now_.room});
        round.push_back({to, parts ? part(now_.send, to) : now_.send.data(), nullptr, now_.bytes});
      }
      rounds.push_back(std::move(round));
    }
    return rounds;
  }

  // Each part goes from neighbour to neighbour.
  std::vector<Round> ring() const {
    std::vector<Round> rounds;
    for (int i = 0; i + 1 < size(); ++i) {
      char* const passed = i == 0 ? now_.send.data() : part(now_.receive, after(-i));
      rounds.push_back({{after(-1), nullptr, part(now_.receive, after(-i - 1)), now_.bytes}, {after(1), passed, nullptr, now_.bytes}});
    }
    return rounds;
  }

  // Receives first: what arrives then is put in its place at once.
  void post(const Round& round) {
    for (const Transfer& transfer : round)
      if (transfer.to != nullptr) pieces(transfer.bytes, [&](size_t at, size_t some) { calls_->receive(transfer.to + at, some, transfer.rank); });
    for (const Transfer& transfer : round)
      if (transfer.from != nullptr) pieces(transfer.bytes, [&](size_t at, size_t some) { calls_->send(transfer.from + at, some, transfer.rank); });
  }

  void broadcast() {
    pieces(now_.bytes, [&](size_t at, size_t some) { calls_->broadcast(now_.receive.data() + at, some, now_.root); });
  }

  // What may be shorter than its room is one message, however small a piece.
  template <class Body>
  void pieces(size_t bytes, const Body& body) const {
    const size_t piece = now_.kind == kExchange ? now_.room : tuning_.piece;
    for (size_t at = 0; at < bytes; at += piece) body(at, std::min(piece, bytes - at));
  }

  void copyOwn() const {
    if (now_.kind == kBroadcast || now_.bytes == 0) return;
    const char* const from = now_.kind == kAllToAll ? part(now_.send, rank()) : now_.send.data();
    if (from != received(rank())) std::memcpy(received(rank()), from, now_.bytes);
  }

  std::atomic<bool> live_{false};
  const std::vector<std::string> libraries_;
  const MpiTuning tuning_;
  std::unique_ptr<MpiCalls> calls_;
  Collective now_ = {};
  std::vector<Round> rounds_;
  size_t round_ = 0;
};

}  // namespace

std::shared_ptr<Engine> newMpi(const std::vector<std::string>& libraries, MpiTuning tuning) {
  if (taken.exchange(true))
    throw Error("ERR_COMM_UNAVAILABLE", "MPI can be started once a process, and never again: it has been started here before");
  for (const auto& [name, value] : kSettings) setenv(name, value, 0);
  return std::make_shared<Mpi>(libraries, tuning);
}

}  // namespace distributed
