// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

namespace units {

/// Convert a temperature from degrees Celsius to degrees Fahrenheit.
inline double celsius_to_fahrenheit(double celsius) {
    return celsius * 9.0 / 5.0 + 32.0;
}

/// Convert a temperature from degrees Fahrenheit to degrees Celsius.
inline double fahrenheit_to_celsius(double fahrenheit) {
    return (fahrenheit - 32.0) * 5.0 / 9.0;
}

/// Distance between two points of a plane.
/// @param x1 first coordinate of the first point
/// @param y1 second coordinate of the first point
/// @param x2 first coordinate of the second point
/// @param y2 second coordinate of the second point
inline double plane_distance(double x1, double y1, double x2, double y2) {
    const double dx = x2 - x1;
    const double dy = y2 - y1;
    return std::sqrt(dx * dx + dy * dy);
}

/// Bring an angle in degrees into the range from 0 up to, but without, 360.
inline double wrap_degrees(double degrees) {
    const double wrapped = std::fmod(degrees, 360.0);
    return wrapped < 0.0 ? wrapped + 360.0 : wrapped;
}

/// Body mass index from a weight in kilograms and a height in metres; 0 for a height of 0.
inline double body_mass_index(double kilograms, double metres) {
    return metres > 0.0 ? kilograms / (metres * metres) : 0.0;
}

/// Value of an amount with yearly compound interest after a number of years.
/// @param amount amount at the start
/// @param percent interest of one year in percent
/// @param years number of full years
inline double compound_interest(double amount, double percent, int years) {
    double value = amount;
    for (int year = 0; year < years; ++year) {
        value += value * percent / 100.0;
    }
    return value;
}

/// Write a number of bytes with the largest binary unit that fits, for example "3 KiB".
/// Fractions of a unit are cut off.
inline std::string human_size(long long bytes) {
    static const char* const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 4) {
        bytes /= 1024;
        ++unit;
    }
    return std::to_string(bytes) + " " + names[unit];
}

}  // namespace units
