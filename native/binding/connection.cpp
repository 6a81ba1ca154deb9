#include "connection.h"

#include <cmath>
#include <utility>

using distributed::Collective;
using distributed::Engine;
using distributed::Place;

namespace {

constexpr double kMicrosecond = 1, kMillisecond = 1000 * kMicrosecond, kSecond = 1000 * kMillisecond;
// The first thing that all ranks do may wait long for the last; after it what they send is on its way.
constexpr double kEagerStart = 0, kEagerExchange = 200 * kMicrosecond, kEagerData = 20 * kMillisecond, kSlowest = 50;  // bytes a microsecond

size_t sizeOf(const Napi::Value& value) {
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number < 9007199254740992 && number == std::floor(number)))
    fail(Napi::RangeError::New(value.Env(), "expected a whole number of bytes"), "ERR_OPT_CONFIG_RANGE");
  return size_t(number);
}

// `count` parts of so many bytes, in a memory from an offset on.
Place placeOf(const Napi::Value& memory, const Napi::Value& offset, size_t bytes, size_t count) {
  Place place{MemoryHandle::from(memory), sizeOf(offset)};
  if (place.offset > place.memory->bytes || (place.memory->bytes - place.offset) / count < bytes)
    fail(Napi::RangeError::New(memory.Env(), "more bytes than the memory has"), "ERR_OPT_LENGTH");
  return place;
}

int rankOf(const Napi::Value& value, int size) {
  const double rank = value.As<Napi::Number>().DoubleValue();
  if (!(rank >= 0 && rank < size && rank == std::floor(rank)))
    fail(Napi::RangeError::New(value.Env(), "expected a rank"), "ERR_OPT_CONFIG_RANGE");
  return int(rank);
}

Collective collectiveOf(const Napi::CallbackInfo& info, int ranks) {
  using namespace distributed;
  const int kind = info[0].As<Napi::Number>().Int32Value();
  if (kind < 0 || kind >= kKinds) fail(Napi::RangeError::New(info.Env(), "no collective has this id"), "ERR_OPT_CONFIG_RANGE");
  const size_t bytes = sizeOf(info[5]), size = size_t(ranks);
  const size_t room = kind == kExchange ? sizeOf(info[8]) : bytes;
  if (room < bytes) fail(Napi::RangeError::New(info.Env(), "more bytes than there is room for"), "ERR_OPT_LENGTH");
  Collective collective{Kind(kind), placeOf(info[1], info[2], bytes, kind == kAllToAll ? size : 1),
                        placeOf(info[3], info[4], room + (kind == kExchange), kind == kBroadcast ? 1 : size), bytes, room,
                        rankOf(info[6], ranks), nullptr};
  if (kind == kExchange) collective.arrived = collective.receive.data() + room * size;
  return collective;
}

}  // namespace

Napi::Function Connection::define(Napi::Env env) {
  const Napi::Function constructor =
      DefineClass(env, "Connection",
                  {InstanceMethod<&Connection::describe>("describe"), InstanceMethod<&Connection::run>("run"),
                   InstanceMethod<&Connection::abort>("abort"), InstanceMethod<&Connection::leave>("leave"),
                   InstanceMethod<&Connection::close>("close")});
  Environment::of(env).connections = Napi::Persistent(constructor);
  return constructor;
}

Napi::Value Connection::open(Napi::Env env, std::shared_ptr<Engine> engine, const Napi::Value& done) {
  const Napi::Object object = Environment::of(env).connections.New({Napi::External<std::shared_ptr<Engine>>::New(env, &engine)});
  Unwrap(object)->add([engine] { return engine->started(); }, {}, done, kEagerStart);
  return object;
}

Connection::Connection(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) fail(Napi::TypeError::New(info.Env(), "a connection is opened, not made"), "ERR_OPT_CONFIG_TYPE");
  engine_ = *info[0].As<Napi::External<std::shared_ptr<Engine>>>().Data();
  line_ = std::make_shared<distributed::Line>(
      [mailbox = Environment::of(info.Env()).mailbox()](std::unique_ptr<AsyncStep> step) { mailbox->post(std::move(step)); });
  napi_add_env_cleanup_hook(info.Env(), cut, this);
}

Connection::~Connection() {
  if (!line_) return;
  napi_remove_env_cleanup_hook(Env(), cut, this);
  cut(this);
}

void Connection::cut(void* connection) {
  const Connection& self = *static_cast<Connection*>(connection);
  self.line_->stop("the connection has been left", [engine = self.engine_] { engine->abandon(); });
}

void Connection::add(std::function<bool()> poll, std::vector<SharedMemory> held, const Napi::Value& done, double eager, bool last) {
  auto step = std::make_unique<AsyncStep>();
  step->held = std::move(held);
  Environment::of(Env()).expect(std::move(step), Value(), done.As<Napi::Function>(), [&](std::unique_ptr<AsyncStep> own) {
    line_->add({std::move(poll), std::move(own), std::chrono::microseconds(int64_t(eager)), last});
  });
}

Napi::Value Connection::describe(const Napi::CallbackInfo& info) {
  const distributed::Description found = engine_->describe();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("rank", found.rank);
  object.Set("size", found.size);
  object.Set("library", found.library);
  object.Set("version", found.version);
  return object;
}

void Connection::run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closed_) fail(Napi::Error::New(env, "this connection has been closed"), "ERR_COMM_CLOSED");
  const Collective collective = collectiveOf(info, engine_->describe().size);
  const double eager = collective.kind == distributed::kExchange ? kEagerExchange : kEagerData + double(collective.bytes) / kSlowest;
  add([engine = engine_, collective, begun = false]() mutable {
        if (!std::exchange(begun, true)) engine->begin(collective);
        return engine->ended();
      },
      {collective.send.memory, collective.receive.memory}, info[7], std::min(eager, kSecond));
}

void Connection::abort(const Napi::CallbackInfo& info) {
  if (std::exchange(closed_, true)) return;
  const int code = info[0].As<Napi::Number>().Int32Value();
  engine_->aborts(code);
  line_->stop(info[1].As<Napi::String>(), [engine = engine_, code] { engine->abort(code); });
}

void Connection::leave(const Napi::CallbackInfo&) {
  closed_ = true;
  cut(this);
}

void Connection::close(const Napi::CallbackInfo& info) {
  if (std::exchange(closed_, true)) fail(Napi::Error::New(info.Env(), "this connection has been closed"), "ERR_COMM_CLOSED");
  add([engine = engine_] { return engine->closed(); }, {}, info[0], kEagerStart, true);
}
