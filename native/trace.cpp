#include "trace.h"

#include <type_traits>

#include "update.h"

namespace {

thread_local Trace* recorded;  // what the operations of this thread are written into

int record(Instruction instruction) {
  recorded->instructions.push_back(instruction);
  return recorded->inputs + int(recorded->instructions.size()) - 1;
}

}  // namespace

// A number of a recorded rule: the register that has it. As long as a float32, by which rules choose their constants.
class Traced {
 public:
  Traced(double constant) : register_(record({Instruction::kConstant, -1, -1, constant})) {}
  static Traced in(int place) { return Traced(Register{place}); }
  static Traced of(Instruction::Operation operation, Traced a) { return in(record({operation, a.register_})); }
  static Traced of(Instruction::Operation operation, Traced a, Traced b) {
    return in(record({operation, a.register_, b.register_}));
  }
  int place() const { return register_; }

 private:
  struct Register {
    int place;
  };
  explicit Traced(Register at) : register_(at.place) {}

  int register_;
};
static_assert(sizeof(Traced) == sizeof(float));

// Rules find these by the type of their arguments.
static Traced operator+(Traced a, Traced b) { return Traced::of(Instruction::kAdd, a, b); }
static Traced operator-(Traced a, Traced b) { return Traced::of(Instruction::kSubtract, a, b); }
static Traced operator*(Traced a, Traced b) { return Traced::of(Instruction::kMultiply, a, b); }
static Traced operator/(Traced a, Traced b) { return Traced::of(Instruction::kDivide, a, b); }
static Traced operator-(Traced x) { return Traced::of(Instruction::kNegate, x); }
static Traced squareRoot(Traced x) { return Traced::of(Instruction::kRoot, x); }
static Traced magnitude(Traced x) { return Traced::of(Instruction::kMagnitude, x); }
static Traced maximum(Traced a, Traced b) { return Traced::of(Instruction::kMaximum, a, b); }
static Traced sign(Traced x) { return Traced::of(Instruction::kSign, x); }
static Traced clamp(Traced x, Traced limit) { return Traced::of(Instruction::kClamp, x, limit); }
static Traced power(Traced x, Traced y) { return Traced::of(Instruction::kPower, x, y); }

template <>
struct Divisor<Traced> {
  Traced value;
  Divisor(Traced x) : value(x) {}
};
template <bool kQuick>
static Traced divide(Traced x, const Divisor<Traced>& by) {
  return x / by.value;
}

namespace {

template <class Rule, int... slot, int... scalar>
Trace traceOf(Indices<slot...>, Indices<scalar...>) {
  constexpr int slots = sizeof...(slot);
  Trace trace = {2 + slots + int(sizeof...(scalar)), {}, {}};
  recorded = &trace;
  Traced p = Traced::in(0), states[slots + 1] = {Traced::in(2 + slot)..., p};
  const Traced g = Traced::in(1);
  const typename Rule::template Scalars<Traced> scalars = {Traced::in(2 + slots + scalar)...};
  if constexpr (std::is_base_of_v<DividesByScalars, Rule>) {
    Rule::moments(g, states[slot]..., scalars);
    Rule::template step<false>(p, g, states[slot]..., scalars);
  } else {
    Rule::update(p, g, states[slot]..., scalars);
  }
  trace.outputs = {p.place(), states[slot].place()...};
  recorded = nullptr;
  return trace;
}

template <class Rule>
Trace traceOf() {
  return traceOf<Rule>(typename IndicesTo<decltype(Rule::slots)::size>::type(),
                       typename IndicesTo<decltype(Rule::scalars)::size>::type());
}

template <class... Rule>
Trace traceIn(RuleList<Rule...>, int rule) {
  constexpr Trace (*traces[])() = {traceOf<Rule>...};
  return traces[rule]();
}

}  // namespace

Trace traceOf(int rule) { return traceIn(Rules(), rule); }

Trace traceOfDecay() {
  Trace trace = {3, {}, {}};
  recorded = &trace;
  trace.outputs = {Decay<Traced>{Traced::in(1), Traced::in(2)}.apply(Traced::in(0)).place()};
  recorded = nullptr;
  return trace;
}
