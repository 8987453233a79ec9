// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"
#include "mathkit/calendar.hpp"
#include "mathkit/fraction.hpp"
#include "mathkit/matrix.hpp"
#include "mathkit/numbers.hpp"
#include "mathkit/statistics.hpp"

using namespace mathkit;

int main() {
    CHECK(gcd(-12, 18) == 6 && gcd(0, 0) == 0);
    CHECK(lcm(4, 6) == 12 && lcm(0, 3) == 0);
    CHECK(is_prime(2) && is_prime(49) == false);
    CHECK((primes_below(12) == std::vector<int>{2, 3, 5, 7, 11}));
    CHECK((prime_factors(360) == std::vector<int>{2, 2, 2, 3, 3, 5}));
    CHECK(power_mod(3, 200, 13) == 9 && power_mod(5, 0, 1) == 0);
    CHECK(digit_sum(-493) == 16);
    CHECK(reverse_digits(-120) == -21);
    CHECK(count_set_bits(255u) == 8);
    CHECK(collatz_steps(6) == 8);
    CHECK(integer_sqrt(2147395600) == 46340 && integer_sqrt(15) == 3);
    CHECK(is_perfect(28) && !is_perfect(16) && !is_perfect(1));
    CHECK(to_roman(1994) == "MCMXCIV" && from_roman("MCMXCIV") == 1994);
    CHECK(to_base(255, 16) == "ff" && to_base(0, 2) == "0");

    CHECK(is_leap_year(2000) && !is_leap_year(1900));
    CHECK(day_of_year(2024, 12, 31) == 366);
    CHECK(day_of_week(2024, 2, 29) == 4);
    CHECK(format_duration(3723) == "1:02:03");

    CHECK(Fraction(2, -4).to_string() == "-1/2");
    CHECK(Fraction(1, 3).less_than(Fraction(1, 2)));
    CHECK(identity<int>(3).multiply(identity<int>(3)).trace() == 3);

    CHECK(median({4, 1, 3, 2}) == 2.5);
    CHECK(percentile({10, 20, 30}, 50) == 20);
    CHECK(variance({1, 2, 3, 4}) > 1.66 && variance({1, 2, 3, 4}) < 1.67);
    return 0;
}
