#include <exception>

#include "binding.h"

namespace {

void check(napi_env env, napi_status status) {
  if (status != napi_ok) fail(Napi::Error::New(env, "Node-API refused a thread-safe function"), "ERR_ADDON_LOAD");
}

// Undefined if it has not failed.
bool errorOf(napi_env env, const AsyncStep& step, napi_value* error) {
  napi_value code, message;
  if (step.code.empty()) return napi_get_undefined(env, error) == napi_ok;
  return napi_create_string_utf8(env, step.code.data(), step.code.size(), &code) == napi_ok &&
         napi_create_string_utf8(env, step.error.data(), step.error.size(), &message) == napi_ok &&
         (step.code == "ERR_OPT_OOM" ? napi_create_range_error : napi_create_error)(env, code, message, error) == napi_ok;
}

napi_ref hold(napi_env env, napi_value value) {
  napi_ref reference = nullptr;
  check(env, napi_create_reference(env, value, 1, &reference));
  return reference;
}

}  // namespace

void Mailbox::post(std::unique_ptr<AsyncStep> step) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (wake_ != nullptr && napi_call_threadsafe_function(wake_, step.get(), napi_tsfn_nonblocking) == napi_ok) step.release();
}

void Mailbox::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  wake_ = nullptr;
}

Environment::Environment(Napi::Env env) : env_(env) {
  const Napi::String name = Napi::String::New(env, "keras-optimizers");
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, finish, &wake_));
  check(env, napi_unref_threadsafe_function(env, wake_));  // keeps the process alive only while a step runs
  mailbox_ = std::make_shared<Mailbox>(wake_);
  driver_ = std::make_unique<Driver>([mailbox = mailbox_](std::unique_ptr<AsyncStep> step) { mailbox->post(std::move(step)); });
  check(env, napi_add_env_cleanup_hook(env, stop, this));
}

// Called by the environment before its memory goes, and before the thread-safe function's own hook, which was added earlier.
void Environment::stop(void* environment) {
  Environment& self = *static_cast<Environment*>(environment);
  self.mailbox_->close();
  self.driver_->stop();
}

void Environment::start(std::unique_ptr<AsyncStep> step, Napi::Object holder, Napi::Function done) {
  expect(std::move(step), holder, done, [this](std::unique_ptr<AsyncStep> own) { driver_->start(std::move(own)); });
}

void Environment::expect(std::unique_ptr<AsyncStep> step, Napi::Object holder, Napi::Function done,
                         const std::function<void(std::unique_ptr<AsyncStep>)>& begin) {
  const Waiting waiting = step->waiting = {hold(env_, holder), hold(env_, done)};
  if (expected_++ == 0) napi_ref_threadsafe_function(env_, wake_);
  try {
    begin(std::move(step));
  } catch (const std::exception& error) {
    forget(waiting);
    fail(Napi::RangeError::New(env_, std::string("no thread for an asynchronous step: ") + error.what()), "ERR_OPT_OOM");
  }
}

void Environment::forget(Waiting waiting) {
  if (--expected_ == 0) napi_unref_threadsafe_function(env_, wake_);
  napi_delete_reference(env_, static_cast<napi_ref>(waiting.holder));
  napi_delete_reference(env_, static_cast<napi_ref>(waiting.done));
}

// On the environment's thread, when a step has ended. Raw Node-API: nothing may be thrown from here, and in an environment that
// is being terminated every call may fail.
void Environment::finish(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<AsyncStep> step(static_cast<AsyncStep*>(data));
  if (env == nullptr) return;  // the environment is going away
  step->plan.reset();  // no longer running
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value answers[2], receiver, done = nullptr, result;
  napi_get_reference_value(env, static_cast<napi_ref>(step->waiting.done), &done);
  static_cast<Environment*>(context)->forget(step->waiting);
  if (napi_create_double(env, step->result, &answers[0]) == napi_ok && errorOf(env, *step, &answers[1]) &&
      napi_get_undefined(env, &receiver) == napi_ok && done != nullptr)
    napi_call_function(env, receiver, done, 2, answers, &result);
  napi_close_handle_scope(env, scope);
}
