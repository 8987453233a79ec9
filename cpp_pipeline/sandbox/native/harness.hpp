// What the tests of a problem are compiled against: the function under test is a stub that asks the runner of the
// candidate for each call, and every assert is a numbered check. No text of the candidate is in this program.
// Stands behind judge.hpp in every unit.
#pragma once

#include <exception>

namespace judge_harness {

// A call that gave no value inside an assert. Not a std::exception: tests that expect an exception must not take a crash for one.
struct CallFailed {
    std::uint32_t status;
};
// The function under test threw something that is no exception of the standard library.
struct ThrewOther {};

// One call: the arguments are put into `arguments`, then `send` returns where the reply's values begin.
struct Call {
    judge_rpc::Writer arguments;
    judge_rpc::Reader send();
    // Every byte of the reply has to be used, or the candidate answered with something else than its type.
    static void finish(const judge_rpc::Reader& reply);
};

// `begin` returns the assert around this one, to which `end` and `fail` go back.
unsigned begin(unsigned site);
void end(unsigned site, bool passed, unsigned outer);
// An exception came out of the condition: the candidate's, or one of the tests themselves.
void fail(unsigned site, unsigned outer);
void mark(unsigned site, std::uint32_t status);
bool skipped(unsigned site);

template <class Condition> void check(unsigned site, Condition condition) {
    if (skipped(site)) return;
    const unsigned outer = begin(site);
    try {
        end(site, condition(), outer);
    } catch (...) {
        fail(site, outer);
    }
}

// A reference parameter or a result, decoded into a fresh value: containers would be appended to otherwise.
template <class T> T take(judge_rpc::Reader& reply) {
    T value{};
    judge_rpc::get(reply, value);
    return value;
}

}  // namespace judge_harness

// The tests, and how many asserts they have; both in the unit of the tests.
int judge_tests();
extern const unsigned judge_site_count;
