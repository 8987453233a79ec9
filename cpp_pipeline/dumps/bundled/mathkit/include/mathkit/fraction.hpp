// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mathkit {

/**
 * Exact fraction of two integers, always in lowest terms and with a positive denominator.
 */
class Fraction {
public:
    /**
     * Make a fraction and reduce it to lowest terms.
     *
     * @param numerator number above the line
     * @param denominator number below the line
     * @throws std::invalid_argument when the denominator is 0
     */
    Fraction(int numerator, int denominator);

    int numerator() const { return numerator_; }
    int denominator() const { return denominator_; }

    /**
     * Sum of two fractions in lowest terms.
     */
    Fraction add(const Fraction& other) const;

    /**
     * Product of two fractions in lowest terms.
     */
    Fraction multiply(const Fraction& other) const;

    /**
     * Compare by value without rounding.
     *
     * @return true when this fraction is smaller than the other one
     */
    bool less_than(const Fraction& other) const;

    /**
     * Nearest floating-point number of the fraction.
     */
    double value() const;

    /**
     * Text such as "3/4"; whole numbers are written without a denominator.
     */
    std::string to_string() const;

private:
    int numerator_;
    int denominator_;
};

}  // namespace mathkit
