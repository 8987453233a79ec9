// Exceptions of the standard library that a candidate throws, as numbers, so that tests can expect them by type.
#pragma once
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <typeinfo>

namespace judge_thrown {

// Derived types before their bases: the first that matches is the one that was thrown, or the nearest that has a number.
#define JUDGE_THROWN(X) \
    X(1, std::invalid_argument("")) X(2, std::domain_error("")) X(3, std::length_error("")) X(4, std::out_of_range("")) \
    X(5, std::logic_error("")) X(6, std::overflow_error("")) X(7, std::underflow_error("")) X(8, std::range_error("")) \
    X(9, std::runtime_error("")) X(10, std::bad_optional_access()) X(11, std::bad_function_call()) X(12, std::bad_cast()) \
    X(13, std::exception())

constexpr int kFirstExit = 110;  // the exit code of a call that threw number n is kFirstExit + n

// The number of the exception that is being handled; 0 for any other.
inline int number() {
    try {
        throw;
    }
#define JUDGE_CATCH(n, ...) catch (const decltype(__VA_ARGS__)&) { return n; }
    JUDGE_THROWN(JUDGE_CATCH)
#undef JUDGE_CATCH
    catch (...) {
        return 0;
    }
}

// Throws what has this number; returns for any other.
inline void raise(std::uint32_t code) {
    switch (static_cast<int>(code) - kFirstExit) {
#define JUDGE_RAISE(n, ...) case n: throw __VA_ARGS__;
        JUDGE_THROWN(JUDGE_RAISE)
#undef JUDGE_RAISE
        default: return;
    }
}

}  // namespace judge_thrown
