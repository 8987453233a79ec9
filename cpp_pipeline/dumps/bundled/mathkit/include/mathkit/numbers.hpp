// SPDX-License-Identifier: Apache-2.0
#ifndef MATHKIT_NUMBERS_HPP
#define MATHKIT_NUMBERS_HPP

#include <string>
#include <vector>

namespace mathkit {

/**
 * Greatest common divisor of two integers.
 *
 * The result is never negative; `gcd(0, 0)` is 0.
 *
 * @param a first number, may be negative
 * @param b second number, may be negative
 * @return the largest integer that divides both numbers
 */
int gcd(int a, int b);

/**
 * Least common multiple of two integers.
 *
 * @param a first number
 * @param b second number
 * @return the smallest positive number that both divide, or 0 if one of them is 0
 */
long long lcm(int a, int b);

/**
 * Tell whether a number is prime by trial division up to its square root.
 *
 * @param n number to test; everything below 2 is not prime
 * @return true when n has exactly two divisors
 */
bool is_prime(int n);

/**
 * List all primes that are smaller than a limit with the sieve of Eratosthenes.
 *
 * @param limit exclusive upper bound
 * @return primes in ascending order
 */
std::vector<int> primes_below(int limit);

/**
 * Split a number into its prime factors.
 *
 * Factors are repeated as often as they divide the number, so 12 gives 2, 2, 3.
 *
 * @param n number to split; values below 2 have no factors
 * @return prime factors in ascending order
 */
std::vector<int> prime_factors(int n);

/**
 * Compute a power modulo a number by repeated squaring.
 *
 * @param base base, must not be negative
 * @param exponent exponent, must not be negative
 * @param modulus modulus, must be positive
 * @return base raised to exponent, reduced modulo modulus
 */
int power_mod(int base, int exponent, int modulus);

/**
 * Add up the decimal digits of a number; the sign is ignored.
 *
 * @param n any integer
 * @return sum of the digits of n
 */
int digit_sum(int n);

/**
 * Write the decimal digits of a number in reverse order and keep its sign.
 *
 * @param n number to reverse
 * @return reversed number; trailing zeros of n vanish
 */
long long reverse_digits(int n);

/**
 * Count the bits that are set in the binary form of a number.
 *
 * @param value number to inspect
 * @return number of one bits
 */
int count_set_bits(unsigned int value);

/**
 * Count how many steps the Collatz rule needs to reach 1.
 *
 * @param n starting number, at least 1
 * @return number of steps, 0 when n is 1
 */
int collatz_steps(int n);

/**
 * Integer square root: the largest number whose square is not above n.
 *
 * @param n number that is not negative
 * @return floor of the square root of n
 */
int integer_sqrt(int n);

/**
 * Tell whether the proper divisors of a number add up to the number itself.
 *
 * @param n number to test
 * @return true for 6, 28, 496 and so on
 */
bool is_perfect(int n);

/**
 * Write a number in Roman numerals.
 *
 * @param value number between 1 and 3999
 * @return numerals in capital letters, or an empty string when the value is out of range
 */
std::string to_roman(int value);

/**
 * Read a Roman numeral.
 *
 * @param numerals capital letters I, V, X, L, C, D, M
 * @return value of the numeral, or -1 when it holds another character
 */
int from_roman(const std::string& numerals);

/**
 * Write a number in another base.
 *
 * @param value number that is not negative
 * @param base base between 2 and 16
 * @return digits in lower case without a prefix
 */
std::string to_base(int value, int base);

}  // namespace mathkit

#endif
