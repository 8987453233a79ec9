// SPDX-License-Identifier: Apache-2.0
#include "mathkit/fraction.hpp"

#include <stdexcept>

#include "mathkit/numbers.hpp"

namespace mathkit {

Fraction::Fraction(int numerator, int denominator) : numerator_(numerator), denominator_(denominator) {
    if (denominator == 0) {
        throw std::invalid_argument("denominator is 0");
    }
    if (denominator_ < 0) {
        numerator_ = -numerator_;
        denominator_ = -denominator_;
    }
    const int divisor = gcd(numerator_, denominator_);
    numerator_ /= divisor;
    denominator_ /= divisor;
}

Fraction Fraction::add(const Fraction& other) const {
    return Fraction(numerator_ * other.denominator_ + other.numerator_ * denominator_,
                    denominator_ * other.denominator_);
}

Fraction Fraction::multiply(const Fraction& other) const {
    return Fraction(numerator_ * other.numerator_, denominator_ * other.denominator_);
}

bool Fraction::less_than(const Fraction& other) const {
    return 1LL * numerator_ * other.denominator_ < 1LL * other.numerator_ * denominator_;
}

double Fraction::value() const {
    return static_cast<double>(numerator_) / denominator_;
}

std::string Fraction::to_string() const {
    if (denominator_ == 1) {
        return std::to_string(numerator_);
    }
    return std::to_string(numerator_) + "/" + std::to_string(denominator_);
}

}  // namespace mathkit
