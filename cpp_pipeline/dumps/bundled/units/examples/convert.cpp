// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "units/convert.hpp"

int main() {
    double celsius = 0.0;
    while (std::cin >> celsius) {
        std::cout << units::celsius_to_fahrenheit(celsius) << "\n";
    }
    return 0;
}
