// What a rule computes, as data: a rule is a template, and with Traced as its numbers a call of it writes its operations down. So
// each rule is written once, also for those who compute with arrays of their own (lib/tfjs/).
#pragma once
#include <vector>

#include "rules.h"

// `first` and `second` are registers: 0 and up are the inputs, then every instruction fills one.
struct Instruction {
  enum Operation { kConstant, kAdd, kSubtract, kMultiply, kDivide, kNegate, kRoot, kMagnitude, kMaximum, kSign, kClamp, kPower };
  Operation operation;
  int first = -1, second = -1;  // -1: there is none
  double constant = 0;
};
constexpr const char* kOperationNames[] = {"constant",  "add",     "subtract", "multiply", "divide", "negate",
                                           "root",      "magnitude", "maximum",  "sign",     "clamp",  "power"};

// What a directed rule looks at, by Whole.
constexpr const char* kWholeNames[] = {"elementwise", "trust_ratio", "relative", "factored", "orthogonal"};

struct Trace {
  int inputs;  // the variable (of a directed rule the direction, which it does not read), its gradient, slots, scalars
  std::vector<Instruction> instructions;
  std::vector<int> outputs;  // the registers that the variable or direction, and the slots, have at the end
};

// Of the rule with this id.
Trace traceOf(int rule);
// What the weight decay does to a variable: its inputs are the variable, weight_decay, learning_rate.
Trace traceOfDecay();
