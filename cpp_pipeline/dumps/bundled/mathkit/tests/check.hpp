// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <iostream>

// Stop the test program with a message when a condition does not hold.
#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            std::cerr << __FILE__ << ":" << __LINE__ << ": " << #condition << "\n";   \
            std::exit(1);                                                             \
        }                                                                             \
    } while (false)
